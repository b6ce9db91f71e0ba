package tcptraceroute_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// command runs a program in a directory, and returns what it prints on standard output.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// tree returns the files of the module, as a checkout has them.
func tree(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == ".git" || path == "dist"):
			return filepath.SkipDir
		case d.Type().IsRegular() && path != ".git" && path != "tcptraceroute" && !strings.HasSuffix(path, ".test"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// offline takes modules from a file proxy and the module cache, and from nowhere else.
func offline(t *testing.T, proxy string) []string {
	cache := strings.TrimSpace(command(t, ".", nil, "go", "env", "GOMODCACHE"))
	proxies := "file://" + filepath.Join(cache, "cache", "download") + ",off"
	if proxy != "" {
		proxies = "file://" + proxy + "," + proxies
	}
	return []string{
		"GOPROXY=" + proxies, "GOSUMDB=off", "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
	}
}

// go install takes a version of the program from a proxy, and the program then says which version it is.
func TestInstall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the program")
	}
	module := strings.TrimSpace(command(t, ".", nil, "go", "list", "-m"))
	const version = "v0.1.0"
	proxy, bin := t.TempDir(), t.TempDir()
	dir := filepath.Join(proxy, module, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, file := range tree(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w, err := z.Create(module + "@" + version + "/" + filepath.ToSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"list": []byte(version + "\n"), version + ".mod": mod, version + ".zip": archive.Bytes(),
		version + ".info": []byte(`{"Version":"` + version + `"}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The module is unpacked into a cache of its own, and everything in it may be removed.
	env := append(offline(t, proxy), "GOBIN="+bin, "GOMODCACHE="+t.TempDir(), "GOFLAGS=-mod=mod -modcacherw")
	command(t, t.TempDir(), env, "go", "install", module+"/cmd/tcptraceroute@"+version)
	out := command(t, ".", nil, filepath.Join(bin, "tcptraceroute"), "--version")
	if want := "tcptraceroute " + strings.TrimPrefix(version, "v"); !strings.Contains(out, want) {
		t.Errorf("--version says %q, want %q", out, want)
	}
}

// A fork gives the module its own path by one command, and builds.
func TestRename(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the program")
	}
	dir := t.TempDir()
	for _, file := range tree(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	old := strings.TrimSpace(command(t, ".", nil, "go", "list", "-m"))
	const path = "github.com/you/trace-route"
	command(t, dir, nil, "./.ci/rename", path)
	env := offline(t, "")
	command(t, dir, env, "go", "build", "-o", "tcptraceroute", "./cmd/tcptraceroute")
	command(t, dir, env, "go", "vet", ".", "./examples/...")
	cmd := exec.CommandContext(t.Context(), "grep", "-rIl", "--exclude=tcptraceroute", "--", old, ".")
	cmd.Dir = dir
	if out, _ := cmd.Output(); len(out) > 0 {
		t.Errorf("the old path %s is still in\n%s", old, out)
	}
}
