package expect

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"go.example/tcptraceroute/record"
)

// Condition is what is expected of a trace.
type Condition struct {
	parts []part
}

// part is one of the conditions that have to hold together.
type part struct {
	text    string
	program *vm.Program
	words   []string // what it asks for, as written, each once
}

// Words are what a condition may ask for, for messages.
const Words = "reached, state, hops, rtt, rtt_min, rtt_max, loss, mtu, via(ADDRESS), via(PREFIX), via(AS64500), " +
	"finding(CODE)"

// most is how long a condition may be, in bytes, and mostNodes of how many parts it may consist.
const (
	most      = 1000
	mostNodes = 200
)

// An Error is a mistake in a condition.
type Error struct {
	Column int // from 1
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("at %d: %s", e.Column, e.Reason) }

// Compile reads a condition. A mistake in it is an *[Error].
func Compile(text string) (*Condition, error) {
	switch i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }); {
	case strings.TrimSpace(text) == "":
		return nil, &Error{1, "there is no condition"}
	case len(text) > most:
		return nil, &Error{most + 1, fmt.Sprintf("a condition has at most %d bytes", most)}
	case i >= 0:
		return nil, &Error{i + 1, "only printable ASCII is allowed"}
	}
	c := new(Condition)
	for _, p := range split(text) {
		one, err := compile(text[p[0]:p[1]])
		if mistake, ok := errors.AsType[*Error](err); ok {
			return nil, &Error{mistake.Column + p[0], mistake.Reason}
		}
		c.parts = append(c.parts, *one)
	}
	return c, nil
}

// split returns where the parts begin and end that && joins. If they aren't joined by it alone, there is one part.
func split(text string) (parts [][2]int) {
	depth, begin, quote := 0, 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0 && (strings.HasPrefix(text[i:], "||") || strings.HasPrefix(text[i:], " or ")):
			return [][2]int{{0, len(text)}}
		case depth == 0 && strings.HasPrefix(text[i:], "&&"):
			parts = append(parts, [2]int{begin, i})
			i++
			begin = i + 1
		}
	}
	return append(parts, [2]int{begin, len(text)})
}

// compile reads one part.
func compile(text string) (*part, error) {
	source, places := translate(text)
	place := func(column int) int { return places[min(max(column, 0), len(places)-1)] + 1 }
	look := &look{}
	program, err := expr.Compile(source, expr.Env(env{}), expr.AsBool(), expr.DisableAllBuiltins(),
		expr.DisableIfOperator(), expr.MaxNodes(mostNodes), expr.Patch(look))
	switch mistake, ok := errors.AsType[*file.Error](err); {
	case look.err != "":
		return nil, &Error{place(look.at), look.err}
	case ok:
		return nil, &Error{place(mistake.Column), explained(mistake.Message)}
	case err != nil:
		return nil, &Error{1, explained(err.Error())}
	}
	return &part{strings.TrimSpace(text), program, look.words}, nil
}

// tokens are the parts of a condition that the library doesn't know, or that must be left as they are.
var tokens = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`"[^"]*"|'[^']*'|` + "`[^`]*`" + `|` + // text
		`\b(via|finding)\s*\(\s*([^()"'\s` + "`" + `]+)\s*\)|` + // 1, 2: an address or a code without quotes
		`\b(\d+(?:\.\d+)?(?:us|ms|s|m)\b)|` + // 3: a time
		`\d(%)|` + // 4: percent
		`\b(rtt_min|rtt_max|rtt|hops|loss|mtu)\b`) // 5: what may not be known
})

// translate writes a part in the library's words, and says for each byte of it where it is in the part.
func translate(text string) (source string, places []int) {
	var b strings.Builder
	write := func(s string, at, step int) {
		for i := range len(s) {
			places = append(places, at+i*step)
		}
		b.WriteString(s)
	}
	last := 0
	for _, m := range tokens().FindAllStringSubmatchIndex(text, -1) {
		write(text[last:m[0]], last, 1)
		last = m[1]
		switch {
		case m[2] >= 0:
			write(text[m[2]:m[3]]+"(", m[0], 0)
			write(`"`+text[m[4]:m[5]]+`")`, m[4], 0)
		case m[6] >= 0:
			write(`duration("`+text[m[6]:m[7]]+`")`, m[6], 0)
		case m[8] >= 0:
			write(text[m[0]:m[8]], m[0], 1)
		case m[10] >= 0:
			write(text[m[10]:m[11]]+"()", m[10], 0)
		default:
			write(text[m[0]:m[1]], m[0], 1)
		}
	}
	write(text[last:], last, 1)
	return b.String(), append(places, len(text))
}

// operators are those that a condition may have.
var operators = []string{"!", "not", "&&", "and", "||", "or", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"}

// look looks at each part of a condition, and collects what it asks for.
type look struct {
	err   string
	at    int
	words []string
}

// Visit implements ast.Visitor.
func (l *look) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if n.Value == "reached" || n.Value == "state" {
			l.word(n.Value)
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.ConstantNode:
	case *ast.UnaryNode:
		l.allow(*node, slices.Contains(operators, n.Operator), n.Operator)
	case *ast.BinaryNode:
		l.allow(*node, slices.Contains(operators, n.Operator), n.Operator)
	case *ast.CallNode:
		l.call(n)
	default:
		l.allow(*node, false, "this")
	}
}

func (l *look) word(w string) {
	if !slices.Contains(l.words, w) {
		l.words = append(l.words, w)
	}
}

// allow notes a mistake unless something is allowed.
func (l *look) allow(node ast.Node, so bool, what string) {
	if !so && l.err == "" {
		l.at, l.err = node.Location().From, what+" is not allowed in a condition; allowed are "+strings.Join(operators, " ")
	}
}

// call looks at what is asked for, and at its argument.
func (l *look) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		l.allow(n, false, "this")
		return
	}
	if len(n.Arguments) == 0 {
		l.word(callee.Value)
		return
	}
	argument, ok := n.Arguments[0].(*ast.StringNode)
	why := ""
	switch {
	case ok:
		why = checkArgument(callee.Value, argument.Value)
	case slices.Contains(takeText, callee.Value): // the library doesn't mind what it can only work out later
		why = callee.Value + " takes something else in its brackets; a condition may ask for " + Words
	}
	if why != "" && l.err == "" {
		l.at, l.err = n.Arguments[0].Location().From, why
	}
	if ok && callee.Value != "duration" && slices.Contains(takeText, callee.Value) {
		l.word(callee.Value + "(" + argument.Value + ")")
	}
}

// takeText are the words that need a text in brackets; the last is what a time becomes.
var takeText = []string{"via", "finding", "duration"}

// Owners reports whether the condition asks for an AS, so that owners have to be known.
func (c *Condition) Owners() bool {
	return slices.ContainsFunc(c.parts, func(p part) bool {
		return slices.ContainsFunc(p.words, func(w string) bool { return strings.HasPrefix(w, "via(AS") })
	})
}

// Check says which part of the condition a trace doesn't fulfil, and what it has instead; "": it fulfils all.
func (c *Condition) Check(t *record.Trace) string {
	f := newFacts(t)
	for _, p := range c.parts {
		holds, err := vm.Run(p.program, f.env())
		switch {
		case err != nil:
			return p.text + " (" + unknown(err) + ")"
		case holds != true && len(p.words) == 0:
			return p.text
		case holds != true:
			return p.text + " (" + f.values(p.words) + ")"
		}
	}
	return ""
}

// unknown is what isn't known, of an error of the library's.
func unknown(err error) string {
	if e, ok := errors.AsType[*unknownError](err); ok {
		return e.Error()
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
