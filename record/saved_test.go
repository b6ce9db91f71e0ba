package record_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every document that an earlier program has saved is still one of version 1, and nothing in it has become unknown. The
// first of them are the work of the first program that had this version; a document is added and none is changed.
func TestSavedDocuments(t *testing.T) {
	files, err := filepath.Glob("testdata/saved/*")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d documents, error %v", len(files), err)
	}
	lenient, strict := compiled(t, false), compiled(t, true)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			documents := []string{string(text)}
			if strings.HasSuffix(file, ".jsonl") {
				documents = strings.SplitAfter(strings.TrimSpace(string(text)), "\n")
			}
			for _, d := range documents {
				validate(t, lenient, []byte(d))
				validate(t, strict, []byte(d))
			}
		})
	}
}
