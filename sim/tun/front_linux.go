package tun

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/sim"
)

// Spin is how long before an answer is due the thread stops sleeping: the kernel wakes it 17 µs late in half of all
// cases and up to 25 µs in nine of ten, as measured on a busy virtual machine.
const Spin = 40 * time.Microsecond

// atOnce is how long the thread may be busy without a sleep and keep its real-time priority. Else it would keep the
// kernel's own packet thread from running, for up to 950 ms (sched_rt_runtime_us): answers come late then that were
// written in time.
const atOnce = time.Millisecond

// batch is how many packets of a device are read before the others have their turn.
const batch = 64

// largest packet; a TUN device has an MTU of 1500 unless told otherwise.
const largest = 1 << 16

// Options of a Front.
type Options struct {
	// Far is the TUN device of the host where the real targets are; nil where there are none.
	Far *os.File
	// Forgetful keeps no record.
	Forgetful bool
	// Slack is how late packets may be read and answers written. With many packets a second, to wake up for each takes
	// more of the processor than all else. 0: the thread is as exact as it can be.
	Slack time.Duration
}

// Front runs a model behind a TUN device.
type Front struct {
	mu    sync.Mutex // held by the thread but while it sleeps
	model *sim.Model
	start time.Time

	near, far device
	stop      int // an eventfd(2) that ends the thread's sleep
	stopping  bool
	done      chan struct{}
	err       error // why the thread gave up

	hurried bool          // the thread has real-time priority
	busy    time.Duration // since when it has not slept

	forgetful bool
	slack     time.Duration
	record    Record
	packets   arena
	buf       []byte
}

// device is one side; its descriptor is -1 where there is none.
type device struct {
	fd    int
	ready bool // there may be something to read
}

// Start lets the model answer what is sent to the device near. Until Stop has returned the model belongs to the
// Front, and nobody else may read the devices, which stay the caller's to close. The model must be new: its time
// begins now.
func Start(near *os.File, m *sim.Model, o Options) (*Front, error) {
	f := &Front{
		model: m, forgetful: o.Forgetful, slack: o.Slack, done: make(chan struct{}), buf: make([]byte, largest),
		near: device{fd: -1}, far: device{fd: -1}, stop: -1,
	}
	err := f.open(near, o.Far)
	if err != nil {
		f.close()
		return nil, fmt.Errorf("tun: %w", err)
	}
	f.start = time.Now()
	f.record.Start = f.start
	go f.run()
	return f, nil
}

func (f *Front) open(near, far *os.File) (err error) {
	if f.near.fd, err = duplicate(near); err != nil {
		return err
	}
	if far != nil {
		if f.far.fd, err = duplicate(far); err != nil {
			return err
		}
	}
	f.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return os.NewSyscallError("eventfd", err)
}

// duplicate returns a descriptor of the file that Go's poller knows nothing of. It doesn't block, as the file's own.
func duplicate(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	cerr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(cerr, os.NewSyscallError("fcntl", err)); err != nil {
		return -1, err
	}
	return fd, nil
}

func (f *Front) close() {
	for _, fd := range []int{f.near.fd, f.far.fd, f.stop} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Do runs a function with the model, between two packets; it should be quick.
func (f *Front) Do(with func(m *sim.Model)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	with(f.model)
}

// Now is the model's time.
func (f *Front) Now() time.Duration { return time.Since(f.start) }

// Stop ends it; packets on their way get lost. It returns the record, or why the devices failed before.
func (f *Front) Stop() (*Record, error) {
	f.mu.Lock()
	if !f.stopping {
		f.stopping = true
		unix.Write(f.stop, []byte{0: 1, 7: 0}) // an error: the counter is full, which wakes as well
	}
	f.mu.Unlock()
	<-f.done
	return &f.record, f.err
}

// run is the thread.
func (f *Front) run() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine, and its priority with it
	defer close(f.done)
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // exact timers
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.close()
	for !f.stopping && f.err == nil {
		if err := f.turn(); err != nil {
			f.err = fmt.Errorf("tun: %w", err)
		}
	}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &used) == nil {
		f.record.CPU = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
}

// hurry gives the calling thread real-time priority, or takes it away. Without the right to that it does with what it
// has.
func (f *Front) hurry(on bool) {
	if f.hurried == on {
		return
	}
	if f.hurried = on; !on {
		f.record.Yielded++
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr} // SCHED_NORMAL
	if on {
		attr.Policy, attr.Priority = unix.SCHED_FIFO, 1
	}
	unix.SchedSetAttr(0, &attr, 0)
}

// turn takes what has come, delivers what is due, and sleeps where there is time for that.
func (f *Front) turn() error {
	f.hurry(f.Now()-f.busy < atOnce)
	if f.near.ready {
		if err := f.read(&f.near, f.model.Inject, &f.record.Sent); err != nil {
			return err
		}
	}
	if f.far.ready {
		if err := f.read(&f.far, f.model.InjectReal, &f.record.FromReal); err != nil {
			return err
		}
	}
	if err := f.deliver(); err != nil {
		return err
	}
	return f.sleep()
}

// read injects what has come from a device.
func (f *Front) read(d *device, inject func(time.Duration, []byte) error, record *[]Sent) error {
	for range batch {
		n, err := unix.Read(d.fd, f.buf)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			d.ready = false
			return nil
		default:
			return os.NewSyscallError("read", err)
		}
		b := f.buf[:n]
		now := f.Now()
		err = inject(now, b)
		if f.forgetful {
			continue
		}
		s := Sent{At: now, Err: err, Packet: f.packets.keep(b)}
		if err == nil && d == &f.near {
			s.Number = f.model.Injected()
		}
		*record = append(*record, s)
	}
	return nil
}

// deliver writes what is due.
func (f *Front) deliver() error {
	for {
		p, ok := f.model.ReceiveOne(f.Now(), f.buf)
		if !ok {
			break
		}
		if err := f.write(&f.near, p, &f.record.Received); err != nil {
			return err
		}
	}
	for f.far.fd >= 0 {
		p, ok := f.model.ReceiveReal(f.Now(), f.buf)
		if !ok {
			break
		}
		if err := f.write(&f.far, p, &f.record.ToReal); err != nil {
			return err
		}
	}
	return nil
}

// write delivers the packet in f.buf. A device that is down takes none, as a network wouldn't.
func (f *Front) write(d *device, p sim.Received, record *[]Received) error {
	b := f.buf[:p.N]
	var err error
	for {
		if _, err = unix.Write(d.fd, b); err != unix.EINTR {
			break
		}
	}
	if !f.forgetful {
		*record = append(*record, Received{Due: p.Due, At: f.Now(), Number: p.Probe, Err: err, Packet: f.packets.keep(b)})
	}
	if err == unix.EBADFD {
		return os.NewSyscallError("write", err)
	}
	return nil
}

// sleep waits until a device has something, or something is due that is worth waking up for. Shortly before a packet
// comes out it only looks at the devices.
func (f *Front) sleep() error {
	var timeout time.Duration
	if !f.near.ready && !f.far.ready {
		timeout = f.untilNext()
	}
	f.mu.Unlock() // in each turn, also in a busy one: others want it too
	defer f.mu.Lock()
	if f.near.ready {
		f.far.ready = f.far.fd >= 0 // perhaps; it will be seen
		return nil
	}
	fds := [...]unix.PollFd{
		{Fd: int32(f.stop), Events: unix.POLLIN}, {Fd: int32(f.near.fd), Events: unix.POLLIN},
		{Fd: int32(f.far.fd), Events: unix.POLLIN},
	} // poll(2) leaves out what is negative
	if f.slack > 0 {
		fds[1].Events, fds[2].Events, timeout = 0, 0, f.slack
	}
	wait := unix.NsecToTimespec(int64(timeout))
	if timeout > 0 {
		defer func() { f.busy = f.Now() }()
	}
	if _, err := unix.Ppoll(fds[:], &wait, nil); err != nil && err != unix.EINTR {
		return os.NewSyscallError("ppoll", err)
	}
	for i, d := range []*device{&f.near, &f.far} {
		if e := fds[1+i].Revents; e&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			return errors.New("the device is gone")
		} else if e != 0 || f.slack > 0 && d.fd >= 0 { // perhaps, with a slack
			d.ready = true
		}
	}
	return nil
}

// untilNext is how long the thread may sleep.
func (f *Front) untilNext() time.Duration {
	timeout, now := time.Hour, f.Now()
	if next, ok := f.model.Next(); ok {
		timeout = next - now
	}
	if out, ok := f.model.NextOut(); ok {
		timeout = min(timeout, out-now-Spin)
	}
	return max(timeout, 0)
}
