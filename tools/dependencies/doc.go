// Package dependencies has the check of the licences of what the daemon is built of. Its
// module pins govulncheck too, which looks for known vulnerabilities in it.
package dependencies
