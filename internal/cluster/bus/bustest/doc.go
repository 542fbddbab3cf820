// Package bustest holds the test that every bus.Bus passes.
package bustest
