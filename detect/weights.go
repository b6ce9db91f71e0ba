package detect

// How much kinds of findings matter, the first most: what ends the connection, what makes it break later, what makes it
// worse, what one may want to know, and what is fine.
const (
	weightFatal  = 500
	weightTrap   = 400
	weightHarm   = 300
	weightNotice = 200
	weightState  = 100
	weightDetail = 50
)
