package words

import (
	"errors"
	"fmt"
	"io/fs"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// List says which option's list is no good.
func List(option string, err error) error {
	if of, ok := err.(*fs.PathError); ok { // the file itself, not what it holds
		return fmt.Errorf("%s %s: %w", option, record.Printable(of.Path), of.Err)
	}
	if bad, ok := errors.AsType[*record.LineError](err); ok {
		return fmt.Errorf("%s %s; expected is the output of an earlier --targets with --json", option,
			record.Printable(bad.Error()))
	}
	return fmt.Errorf("%s: %w", option, err)
}

// Kept says which option's file is no good.
func Kept(err error) error {
	of, ok := errors.AsType[*measure.KeptError](err)
	if !ok {
		return err
	}
	option := "--save"
	if of.Baseline {
		option = "--baseline"
	}
	return fmt.Errorf("%s %s: %s", option, record.Printable(of.Name), Shortened(of.Err))
}

// Shortened is why a file is no trace. The reason may quote from the file.
func Shortened(err error) string {
	const most = 300
	text := options.Reason(err).Error()
	if len(text) > most {
		text = text[:most] + "..."
	}
	return record.Printable(text)
}
