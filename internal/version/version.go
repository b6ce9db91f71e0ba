// Package version knows the version of the program.
package version

import (
	"fmt"
	build "runtime/debug"
	"strings"
)

// Linked is the program's, set by the linker in packages. Where it is "", the build information has it.
var Linked string

// Get returns the program's version.
func Get() string {
	if Linked != "" {
		return Linked
	}
	info, _ := build.ReadBuildInfo()
	return of(info)
}

// of is the version in build information, which is nil if there is none: that of the module if the program was
// installed by go install, and a pseudo-version of the last commit if it was built in a repository.
func of(info *build.BuildInfo) string {
	if info == nil || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

// Text is the block that -v prints.
func Text() string {
	return fmt.Sprintf("\ntcptraceroute %s\nTraces the path of a TCP connection.\nLicensed under the Apache License "+
		"2.0.\n\n", Get())
}
