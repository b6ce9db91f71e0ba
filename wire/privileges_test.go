package wire

import (
	"os"
	"testing"
)

func TestIdentitySetID(t *testing.T) {
	for _, tt := range []struct {
		name string
		id   Identity
		want bool
	}{
		{"ordinary user", Identity{RealUID: 1000, EffectiveUID: 1000, RealGID: 100, EffectiveGID: 100}, false},
		{"set-user-ID root", Identity{RealUID: 1000, RealGID: 100, EffectiveGID: 100}, true},
		{"set-group-ID", Identity{RealUID: 1000, EffectiveUID: 1000, RealGID: 100, EffectiveGID: 13}, true},
		{"root runs its own set-user-ID program", Identity{}, false},
		{"file capability", Identity{RealUID: 1000, EffectiveUID: 1000, Elevated: true, NetRaw: true}, false},
		{"platform without ids", Identity{RealUID: -1, EffectiveUID: -1, RealGID: -1, EffectiveGID: -1}, false},
	} {
		if got := tt.id.SetID(); got != tt.want {
			t.Errorf("%s: SetID() = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestCallerIsThisProcess(t *testing.T) {
	id := Caller()
	if id.RealUID != os.Getuid() || id.EffectiveUID != os.Geteuid() || id.RealGID != os.Getgid() || id.EffectiveGID != os.Getegid() {
		t.Errorf("Caller() = %+v, but the ids are %d %d, %d %d", id, os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
	}
	if id.Elevated {
		t.Errorf("Caller() = %+v: a test binary is not installed with privileges", id)
	}
}
