package version

import (
	build "runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	info := func(version string) *build.BuildInfo { return &build.BuildInfo{Main: build.Module{Version: version}} }
	for _, tt := range []struct {
		info *build.BuildInfo
		want string
	}{
		{info("v1.2.3"), "1.2.3"},
		{info("v0.0.0-20261129090000-0123456789ab+dirty"), "0.0.0-20261129090000-0123456789ab+dirty"},
		{info("(devel)"), "devel"}, {info(""), "devel"}, {nil, "devel"},
	} {
		if got := of(tt.info); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.info, got, tt.want)
		}
	}
}
