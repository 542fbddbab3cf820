// Package loadmeter tells how busy this process is, as a number to scale on: the use of what
// runs out first. It knows nothing of who asks.
package loadmeter
