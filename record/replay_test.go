package record_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report/scene"
)

// read reads a trace, writes it, and reads it again: both are the same.
func read(t *testing.T, text []byte) *record.Trace {
	t.Helper()
	saved, err := record.ReadJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	again, out := reread(t, saved)
	if !reflect.DeepEqual(saved, again) {
		t.Fatalf("%+v\nis written as %s\nand read as %+v", saved, out, again)
	}
	return saved
}

func reread(t *testing.T, saved *record.Trace) (*record.Trace, []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := saved.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	again, err := record.ReadJSON(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	return again, out.Bytes()
}

// What is written reads back, and is then written the same, byte for byte: a document, and lines too.
func TestReadsBack(t *testing.T) {
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			doc, lines := documentAndLines(t, s)
			_, out := reread(t, read(t, doc))
			if !bytes.Equal(doc, out) {
				t.Errorf("the document\n%s\nreads back as\n%s", doc, out)
			}
			_, out = reread(t, read(t, lines))
			if !bytes.Equal(doc, out) {
				t.Errorf("the lines read back as\n%s\nand the document is\n%s", out, doc)
			}
		})
	}
}

// Every document that an earlier program has saved is read.
func TestReadsSaved(t *testing.T) {
	files, err := filepath.Glob("testdata/saved/*")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d documents, error %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if saved := read(t, text); len(saved.Results) == 0 || saved.Ending.Time.IsZero() {
			t.Errorf("%s: %+v", file, saved)
		}
	}
}

// Lines whose end is missing are a trace that was cut short.
func TestReadsCutShort(t *testing.T) {
	all := lines(t, everything)
	whole := read(t, all)
	for _, end := range []int{bytes.LastIndexByte(all[:len(all)-1], '\n'), len(all) - 9} {
		cut := read(t, all[:end])
		if len(cut.Results) != len(whole.Results) || cut.Ending.Reason != record.Broken || cut.Ending.Err == nil {
			t.Errorf("%d results of %d, ending %+v", len(cut.Results), len(whole.Results), cut.Ending)
		}
	}
}

// What no program wrote is refused, and nothing that comes can do more than that.
func TestRefusesToRead(t *testing.T) {
	doc := document(t, everything)
	for _, damage := range [][2]string{
		{`trace:1"`, `trace:2"`},
		{`"fate": "answered"`, `"fate": "fine"`},
		{`"fate": "lost"`, `"fate": "answered"`},
		{`"address": "203.0.113.9"`, `"address": "203.0.113"`},
		{`"address": "203.0.113.9"`, `"address": "2001:db8::1"`},
		{`"max_ttl": 30`, `"max_ttl": 3000`},
		{`"max_ttl": 30`, `"max_ttl": 2`},
		{`"kind": "tcp"`, `"kind": "echo"`},
		{`"n": 2,`, `"n": 1,`},
		{`"rtt_ms": `, `"rtt_ms": 1e300`},
		{`"sent": "2000`, `"sent": "9999`},
		{`"started": "2000`, `"started": "2000-`},
		{`"reason": "complete"`, `"reason": "well"`},
		{`"kind": 2,`, `"kind": 0,`},
	} {
		bad := bytes.ReplaceAll(doc, []byte(damage[0]), []byte(damage[1]))
		if bytes.Equal(bad, doc) {
			t.Errorf("%s: not there", damage[0])
		}
		if _, err := record.ReadJSON(bytes.NewReader(bad)); err == nil {
			t.Errorf("%s passes", damage[1])
		}
	}
	for _, text := range []string{"", "{}", "[]", "1", `{"schema":"urn:tcptraceroute:trace:1"}`, "\x00"} {
		if _, err := record.ReadJSON(bytes.NewReader([]byte(text))); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}

// Whatever is read, it does no harm; and what was read reads back the same.
func FuzzReadJSON(f *testing.F) {
	files, err := filepath.Glob("testdata/saved/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		saved, err := record.ReadJSON(bytes.NewReader(text))
		if err != nil {
			return
		}
		again, out := reread(t, saved)
		if !reflect.DeepEqual(saved, again) {
			t.Error(difference(reflect.ValueOf(*saved), reflect.ValueOf(*again)))
		}
		if err := scene.Harmless(out); err != nil {
			t.Error(err)
		}
	})
}

// difference says where two values differ.
func difference(a, b reflect.Value) string {
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		a, b = a.Elem(), b.Elem()
	}
	switch {
	case a.Kind() == reflect.Struct:
		for i := range a.NumField() {
			if d := difference(a.Field(i), b.Field(i)); d != "" {
				return "." + a.Type().Field(i).Name + d
			}
		}
		return ""
	case a.Kind() == reflect.Slice && a.Len() == b.Len():
		for i := range a.Len() {
			if d := difference(a.Index(i), b.Index(i)); d != "" {
				return fmt.Sprintf("[%d]%s", i, d)
			}
		}
	}
	if fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) {
		return ""
	}
	return fmt.Sprintf(": %+v, then %+v", a, b)
}
