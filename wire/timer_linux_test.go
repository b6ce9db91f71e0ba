package wire

import (
	"testing"
	"time"
)

func TestAlarm(t *testing.T) {
	a, err := newTimerFD()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run() }()
	start := time.Now()
	a.Set(time.Hour)
	a.Set(time.Millisecond) // the last one counts
	<-a.C()
	if d := time.Since(start); d < time.Millisecond {
		t.Errorf("it rang after %v", d)
	}
	for _, d := range []time.Duration{0, -time.Second, time.Nanosecond} { // at once
		a.Set(d)
		<-a.C()
	}
	// A ring that nobody hears holds nothing up, and is the next one's.
	a.Set(0)
	a.Set(time.Hour)
	a.Set(0)
	<-a.C()
	a.Set(time.Hour)
	a.Stop()
	<-ended
}

func TestAlarmStoppedBeforeItRuns(t *testing.T) {
	a, err := newTimerFD()
	if err != nil {
		t.Fatal(err)
	}
	a.Stop()
	a.Run()
}
