package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inUserNamespace in the environment tells the re-executed test binary that it is the one inside.
const inUserNamespace = "LAB_USER_NAMESPACE"

// Main runs the tests, for an ordinary user inside user, mount and network namespaces of their own, where they are root
// (as by unshare -Urnm). Where the system forbids that, they run as they are, and those that need a lab are skipped. It
// does not return:
//
//	func TestMain(m *testing.M) { lab.Main(m) }
func Main(m *testing.M) {
	if code, done := runInside(); done {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// runInside runs this program again in a user namespace, if that is needed and possible.
func runInside() (code int, done bool) {
	if os.Getenv(inUserNamespace) != "" {
		return 0, false
	}
	if ns, err := newNamespace(); err == nil {
		ns.Close()
		return 0, false
	}
	runtime.LockOSThread() // Pdeathsig below is sent when the thread ends that started the child
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inUserNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	// go test ends a test that takes too long by SIGQUIT, to see its stacks: they are the child's.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT)
	stop := make(chan struct{})
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		for {
			select {
			case s := <-signals:
				cmd.Process.Signal(s) // an error: it has ended
			case <-stop:
				return
			}
		}
	}()
	err := cmd.Wait()
	signal.Stop(signals)
	close(stop)
	<-relayed
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), true
	}
	fmt.Fprintf(os.Stderr, "lab: tests in a user namespace: %v\n", err)
	return 2, true
}

// lacking skips the test, loudly; with CI=true in the environment it fails it: a test that never runs protects nothing.
// With -short it skips silently.
func lacking(t testing.TB, what string) {
	t.Helper()
	if testing.Testing() && testing.Short() {
		t.Skip("lab: " + what)
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("lab: %s (CI=true: tests must not be skipped)", what)
	}
	// The line that t.Skip writes is shown with -v only.
	fmt.Fprintf(os.Stderr, "lab: SKIPPED %s: %s\n", t.Name(), what)
	t.Skip("lab: " + what)
}

func notShort(t testing.TB) {
	t.Helper()
	if testing.Testing() && testing.Short() {
		t.Skip("lab: -short runs what needs neither root nor other programs")
	}
}

// Need skips the test where no lab can be made, and with -short: what is tested in seconds needs no lab.
func Need(t testing.TB) {
	t.Helper()
	notShort(t)
	NeedProgram(t, "ip", "nft")
	ns, err := newNamespace()
	if errors.Is(err, unix.EPERM) {
		lacking(t, "may not make network namespaces: run as root, or allow user namespaces")
	}
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	ns.Close()
}

// NeedRoot skips the test unless it runs as the machine's real root: root of a user namespace has no second user.
func NeedRoot(t testing.TB) {
	t.Helper()
	notShort(t)
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	if os.Geteuid() != 0 || strings.Join(strings.Fields(string(ids)), " ") != "0 0 4294967295" {
		lacking(t, "needs real root, not that of a user namespace")
	}
}

// NeedTUN skips the test where /dev/net/tun may not be opened.
func NeedTUN(t testing.TB) {
	t.Helper()
	notShort(t)
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		lacking(t, fmt.Sprintf("needs a TUN device: %v", err))
		return
	}
	f.Close()
}

// NeedProgram skips the test where one of the programs isn't installed.
func NeedProgram(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			lacking(t, fmt.Sprintf("needs a program: %v", err))
		}
	}
}
