// Package live is the screen for a trace that goes on: hops with their figures and their history, drawn anew as results
// come in, until the user quits.
//
// The rule of this room: what is seen is a pure function of the figures, the size of the terminal and what the user
// chose; only Screen.Run touches a terminal. It has a package of its own because it carries the terminal
// library.
//
// lipgloss is not used: when it is imported it looks at the terminal, and inside tmux it runs the program tmux to do
// so, before main begins, which a program with privileges must not.
package live
