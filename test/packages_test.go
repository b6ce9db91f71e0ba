package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

var debianRoot = flag.String("debian-root", "", "a fresh Debian, as debootstrap makes it, with libcap2-bin: the packages are installed in copies of it")

// command runs a program outside of any lab and returns what it says; it must succeed.
func command(t *testing.T, prepare func(*exec.Cmd), name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*hangs)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	if prepare != nil {
		prepare(cmd)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// packages builds the packages for a machine from the source in a directory. It returns the names of the files.
func packages(t *testing.T, source, out, umask, arch string) (deb, rpm, tarball string) {
	t.Helper()
	lab.NeedProgram(t, "bash", "xz", "sha256sum")
	command(t, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	}, "sh", "-c", `umask "$1"; exec "$2" 0.0.1 "$3" "$4"`, "-", umask, filepath.Join(source, "packaging/build.sh"), out, arch)
	one := func(pattern string) string {
		found, _ := filepath.Glob(filepath.Join(out, pattern))
		if len(found) != 1 {
			t.Fatalf("%s: %q", pattern, found)
		}
		return found[0]
	}
	return one("*.deb"), one("*.rpm"), one("*.tar.gz")
}

// copyTree copies what a build may read: the files that belong to the repository or may be about to, with times of their own.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(from, path)
		switch {
		case d.IsDir() && (name == ".git" || name == "dist" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return lab.WriteProgram(filepath.Join(to, name), text, info.Mode()&0o700)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Two builds, from another directory with other times and modes, have the same bytes; what is built is whole. Installed in
// a Debian without anything else and removed again, it leaves nothing behind; and an ordinary user can run it.
func TestPackages(t *testing.T) {
	lab.NeedRoot(t)
	lab.NeedProgram(t, "rpm", "dpkg-deb")
	t.Parallel()
	first, second, tree := t.TempDir(), t.TempDir(), t.TempDir()
	deb, rpm, tarball := packages(t, "..", first, "022", runtime.GOARCH)
	copyTree(t, "..", tree)
	packages(t, tree, second, "077", runtime.GOARCH)
	if one, two := snapshot(t, first), snapshot(t, second); !maps.Equal(one, two) {
		t.Errorf("two builds differ:\n%v\n%v", one, two)
	}

	t.Run("contents", func(t *testing.T) {
		for _, tt := range []struct{ file, list, want string }{
			{rpm, command(t, nil, "rpm", "-qpl", rpm), "/usr/bin/tcptraceroute.ng " +
				"/usr/share/bash-completion /usr/share/bash-completion/completions /usr/share/bash-completion/completions/tcptraceroute " +
				"/usr/share/doc/tcptraceroute-ng /usr/share/doc/tcptraceroute-ng/diff-1.json /usr/share/doc/tcptraceroute-ng/findings.md " +
				"/usr/share/doc/tcptraceroute-ng/formats.md /usr/share/doc/tcptraceroute-ng/options.md " +
				"/usr/share/doc/tcptraceroute-ng/trace-1.json " +
				"/usr/share/fish /usr/share/fish/vendor_completions.d /usr/share/fish/vendor_completions.d/tcptraceroute.fish " +
				"/usr/share/licenses/tcptraceroute-ng /usr/share/licenses/tcptraceroute-ng/LICENSE /usr/share/man/man1/tcptraceroute.ng.1.gz " +
				"/usr/share/zsh /usr/share/zsh/site-functions /usr/share/zsh/site-functions/_tcptraceroute"},
			{tarball, command(t, nil, "tar", "-tzf", tarball), "tcptraceroute-0.0.1-linux-ARCH/ tcptraceroute-0.0.1-linux-ARCH/LICENSE tcptraceroute-0.0.1-linux-ARCH/README.md " +
				"tcptraceroute-0.0.1-linux-ARCH/completions/ tcptraceroute-0.0.1-linux-ARCH/completions/_tcptraceroute " +
				"tcptraceroute-0.0.1-linux-ARCH/completions/tcptraceroute.bash tcptraceroute-0.0.1-linux-ARCH/completions/tcptraceroute.fish " +
				"tcptraceroute-0.0.1-linux-ARCH/docs/ tcptraceroute-0.0.1-linux-ARCH/docs/diff-1.json tcptraceroute-0.0.1-linux-ARCH/docs/findings.md " +
				"tcptraceroute-0.0.1-linux-ARCH/docs/formats.md tcptraceroute-0.0.1-linux-ARCH/docs/options.md " +
				"tcptraceroute-0.0.1-linux-ARCH/docs/trace-1.json " +
				"tcptraceroute-0.0.1-linux-ARCH/tcptraceroute tcptraceroute-0.0.1-linux-ARCH/tcptraceroute.1"},
		} {
			got := strings.Fields(tt.list)
			slices.Sort(got)
			if want := strings.Fields(strings.ReplaceAll(tt.want, "ARCH", runtime.GOARCH)); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", tt.file, got, want)
			}
		}
	})

	p := lab.Chain(t, lab.ChainOptions{Hops: 2})
	p.Target.Listen(t, 443)
	t.Run("deb", func(t *testing.T) {
		root := debian(t)
		root.put(t, deb, "/new.deb")
		before := snapshot(t, root.dir)
		root.run(t, "dpkg", "-i", "/new.deb")
		root.works(t, p, "/usr/bin/tcptraceroute.ng")
		root.run(t, "dpkg", "-i", "/new.deb") // the new file has no capabilities until the script gives them
		root.works(t, p, "/usr/bin/tcptraceroute.ng")
		root.run(t, "dpkg", "-r", "tcptraceroute-ng")
		root.unchanged(t, before)
	})
	t.Run("beside 1.5beta7", func(t *testing.T) {
		root := debian(t)
		root.put(t, deb, "/new.deb")
		root.add(t, []string{"tcptraceroute"})
		root.put(t, "/var/lib/dpkg/info/tcptraceroute.postinst", "/postinst")
		root.run(t, "/postinst", "configure")
		before := snapshot(t, root.dir)
		root.run(t, "dpkg", "-i", "/new.deb")
		root.works(t, p, "/usr/bin/tcptraceroute.ng")
		root.run(t, "dpkg", "-r", "tcptraceroute-ng")
		root.unchanged(t, before)
		if got := root.program(t); got != "/usr/bin/tcptraceroute.mt" {
			t.Errorf("tcptraceroute is %s", got)
		}
	})
	t.Run("without setcap", func(t *testing.T) {
		root := debian(t)
		root.put(t, deb, "/new.deb")
		for _, name := range []string{"usr/sbin/setcap", "sbin/setcap"} {
			os.Remove(filepath.Join(root.dir, name))
		}
		if said := root.run(t, "dpkg", "-i", "/new.deb"); !strings.Contains(said, "To change that later: setcap cap_net_raw+p /usr/bin/tcptraceroute.ng\n") {
			t.Errorf("dpkg says %q", said)
		}
		if got := root.run(t, "tcptraceroute", "--version"); !strings.Contains(got, "tcptraceroute 0.0.1\n") {
			t.Errorf("version %q", got)
		}
	})
	t.Run("rpm", func(t *testing.T) {
		root := debian(t)
		rpmIn := func(args ...string) {
			command(t, nil, "rpm", append([]string{"--root", root.dir, "--dbpath", "/var/lib/rpm"}, args...)...)
		}
		rpmIn("--initdb")
		root.run(t, "mkdir", "-p", "/usr/share/licenses", "/usr/share/doc") // every RPM system has them
		before := snapshot(t, root.dir)
		rpmIn("-i", "--nodeps", rpm)
		root.works(t, p, "/usr/bin/tcptraceroute.ng")
		rpmIn("-U", "--nodeps", "--force", rpm)
		root.works(t, p, "/usr/bin/tcptraceroute.ng")
		rpmIn("-e", "tcptraceroute-ng")
		root.unchanged(t, before)
	})
	t.Run("image", func(t *testing.T) { image(t, p, deb) })
}

// The packages for ARM with 32 bits: what each says that it is for, and that the program runs on such a processor.
func TestPackagesARM(t *testing.T) {
	lab.NeedProgram(t, "rpm", "dpkg-deb", "qemu-arm")
	t.Parallel()
	dir := t.TempDir()
	deb, rpm, tarball := packages(t, "..", dir, "022", "armhf")
	for _, tt := range []struct{ got, want string }{
		{command(t, nil, "dpkg-deb", "-f", deb, "Architecture"), "armhf"},
		{command(t, nil, "rpm", "-qp", "--qf", "%{ARCH}", rpm), "armv6hl"},
	} {
		if got := strings.TrimSpace(tt.got); got != tt.want {
			t.Errorf("a package for %q, want %q", got, tt.want)
		}
	}
	command(t, nil, "tar", "-xzf", tarball, "-C", dir)
	program := filepath.Join(dir, "tcptraceroute-0.0.1-linux-armhf", "tcptraceroute")
	// ARM1176 is the processor of the first Raspberry Pi: ARMv6.
	if got := command(t, nil, "qemu-arm", "-cpu", "arm1176", program, "--version"); !strings.Contains(got, "tcptraceroute 0.0.1\n") {
		t.Errorf("version %q", got)
	}
}

// snapshot is what a directory holds: names, kinds, modes, where links lead, what is in files and which capabilities they
// have; but for logs, and copies that the package managers keep of their own state.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if ownState.MatchString(name) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " " + to
		case d.Type().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var attr [64]byte
			n, _ := unix.Lgetxattr(path, "security.capability", attr[:])
			what += fmt.Sprintf(" %x %x", sha256.Sum256(text), attr[:max(n, 0)])
		}
		all[name] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var ownState = regexp.MustCompile(`^var/(log|cache|lib/rpm)/|^var/lib/dpkg/(.*-old|lock.*|triggers/Lock)$`)

// root is a Debian in a directory.
type root struct{ dir string }

// debian makes a root for this test alone: a copy of the one that was given, or one of nothing but the files of the
// installed packages that dpkg, its scripts and setcap need.
func debian(t *testing.T) root {
	t.Helper()
	dir, err := os.MkdirTemp("", "root")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := root{dir}
	if *debianRoot != "" {
		command(t, nil, "cp", "-a", *debianRoot+"/.", dir)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for the ordinary user
		t.Fatal(err)
	}
	if *debianRoot != "" {
		return r
	}
	lab.NeedProgram(t, "dpkg-query", "tar")
	for _, d := range []string{"etc/alternatives", "tmp", "dev", "var/log", "var/tmp", "var/lib/rpm", "var/lib/dpkg/alternatives", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"var/lib/dpkg/status": "", "var/lib/dpkg/info/format": "1\n", "var/lib/dpkg/triggers/Unincorp": "", "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mknod(filepath.Join(dir, "dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} { // one with /usr, as in every Debian of today
		if err := os.Symlink("usr/"+d, filepath.Join(dir, d)); err != nil {
			t.Fatal(err)
		}
	}
	var needed []string
	for todo := []string{"dpkg", "dash", "coreutils", "diffutils", "libc-bin", "libcap2-bin"}; len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		if slices.Contains(needed, name) {
			continue
		}
		needed = append(needed, name)
		for _, one := range strings.Split(command(t, nil, "dpkg-query", "-W", "-f", "${Pre-Depends},${Depends}", name), ",") {
			one, _, _ = strings.Cut(one, "|")
			if one, _, _ = strings.Cut(strings.TrimSpace(one), " "); one != "" && exec.Command("dpkg-query", "-W", one).Run() == nil {
				todo = append(todo, one)
			}
		}
	}
	r.add(t, needed)
	return r
}

// add copies the files of installed packages.
func (r root) add(t *testing.T, packages []string) {
	t.Helper()
	var list []string
	for path := range strings.Lines(command(t, nil, "dpkg-query", append([]string{"-L"}, packages...)...)) {
		path = strings.TrimSpace(path)
		if info, err := os.Lstat(path); err == nil && !info.IsDir() && strings.Count(path, "/") > 1 && !strings.HasPrefix(path, "/usr/share/doc/") {
			list = append(list, path[1:])
		}
	}
	command(t, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(strings.Join(list, "\n")) },
		"sh", "-c", `tar -C / -cf - -T - | tar -C "$0" --keep-directory-symlink -xf -`, r.dir)
}

// put copies a file into the root.
func (r root) put(t *testing.T, from, to string) {
	t.Helper()
	command(t, nil, "install", "-m", "755", from, filepath.Join(r.dir, to))
}

// run runs a command there.
func (r root) run(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, func(cmd *exec.Cmd) {
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	}, "chroot", append([]string{r.dir}, args...)...)
}

// program is the file that runs there as tcptraceroute.
func (r root) program(t *testing.T) string {
	return strings.TrimSpace(r.run(t, "readlink", "-f", "/usr/bin/tcptraceroute"))
}

// works looks whether the package is installed there as it should, and runs the program as an ordinary user.
func (r root) works(t *testing.T, p *lab.Path, program string) {
	t.Helper()
	if got := r.program(t); got != program {
		t.Errorf("tcptraceroute is %s", got)
	}
	if got := strings.TrimSpace(r.run(t, "getcap", program)); got != program+" cap_net_raw=p" {
		t.Errorf("capabilities: %s", got)
	}
	if info, err := os.Stat(filepath.Join(r.dir, program)); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, error %v", info, err)
	}
	if got := strings.TrimSpace(r.run(t, "readlink", "-f", "/usr/share/man/man1/tcptraceroute.1.gz")); got != "/usr/share/man/man1/tcptraceroute.ng.1.gz" {
		t.Errorf("the man page is %s", got)
	}
	for _, name := range []string{"usr/share/man/man1/tcptraceroute.ng.1.gz", "usr/share/bash-completion/completions/tcptraceroute", "usr/share/fish/vendor_completions.d/tcptraceroute.fish"} {
		if _, err := os.Stat(filepath.Join(r.dir, name)); err != nil {
			t.Error(err)
		}
	}
	traces(t, p, "chroot", "--userspec=65534:65534", r.dir, "/usr/bin/tcptraceroute")
}

// traces runs a program as installed, and looks whether it traces.
func traces(t *testing.T, p *lab.Path, name string, args ...string) {
	t.Helper()
	got := run(t, p.Source, name, append(args, "-nq1", p.Target.V4().String(), "443")...)
	want := fmt.Sprintf(" 1  %v  #\n 2  %v [open]  #\n", p.Hop(1).V4(), p.Target.V4())
	if likeness(got.stdout) != want || got.code != 0 {
		t.Errorf("%v, want %q", got, want)
	}
}

// unchanged tells what is other in a root than it was.
func (r root) unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	after := snapshot(t, r.dir)
	for name, what := range after {
		if before[name] != what {
			t.Errorf("left behind: %s: %s, was %q", name, what, before[name])
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("gone: %s", name)
		}
	}
}

// image sees whether the Dockerfile's image would work: its last stage has nothing but the files that it copies, all of
// which are there, and the program runs where there is nothing else.
func image(t *testing.T, p *lab.Path, deb string) {
	text, err := os.ReadFile("../packaging/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok || strings.Contains(last, "FROM") {
		t.Fatal("the last stage is not from scratch")
	}
	unpacked, dir := t.TempDir(), t.TempDir()
	command(t, nil, "dpkg-deb", "-x", deb, unpacked)
	built := map[string]string{"/tcptraceroute": unpacked + "/usr/bin/tcptraceroute.ng", "/etc/services": "/etc/services"}
	var entry string
	for line := range strings.Lines(last) {
		word := strings.Fields(line)
		switch {
		case len(word) == 4 && word[0] == "COPY" && word[1] == "--from=build" && built[word[2]] != "":
			command(t, nil, "install", "-D", built[word[2]], dir+word[3])
		case len(word) == 2 && word[0] == "ENTRYPOINT":
			entry = strings.Trim(word[1], `[]"`)
		case len(word) > 0 && !strings.HasPrefix(line, "#"):
			t.Errorf("the image's last stage has %s", bytes.TrimSpace([]byte(line)))
		}
	}
	traces(t, p, "chroot", dir, entry)
}
