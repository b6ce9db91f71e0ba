package cli

import (
	"fmt"
	build "runtime/debug"
	"strings"
)

// Version is the program's, set by the linker in packages. Where it is "", the build information has it.
var Version string

// version is the program's version.
func version() string {
	if Version != "" {
		return Version
	}
	info, _ := build.ReadBuildInfo()
	return versionOf(info)
}

// versionOf is the version in build information, which is nil if there is none: that of the module if the program was
// installed by go install, and a pseudo-version of the last commit if it was built in a repository.
func versionOf(info *build.BuildInfo) string {
	if info == nil || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

// versionText is the block that -v prints.
func versionText() string {
	return fmt.Sprintf("\ntcptraceroute %s\nTraces the path of a TCP connection.\nLicensed under the Apache License "+
		"2.0.\n\n", version())
}
