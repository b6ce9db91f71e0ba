package targets_test

import (
	"fmt"
	"strings"

	"go.example/tcptraceroute/targets"
)

// A list is read line by line, as its targets are needed.
func ExampleRead() {
	const list = `# mail
mail.example 25
192.0.2.7:443
[2001:db8::7]:443
192.0.2.256
`
	for t, err := range targets.Read(strings.NewReader(list), "hosts.txt", targets.Options{Default: 80}) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(t.Host, t.Port)
	}
	// Output:
	// mail.example 25
	// 192.0.2.7 443
	// 2001:db8::7 443
	// hosts.txt:5: not an IPv4 address: 192.0.2.256
}
