package trace

// CheckPace is for the tests that see the package from outside.
var CheckPace = checkPace
