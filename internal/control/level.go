package control

import (
	"fmt"
	"strconv"
)

// APILevel says how much of fanout.v1 this daemon has. It grows by one with each release
// that adds something which a caller may depend on and could not do without: a daemon
// that does not know a field ignores it, so the caller would never find out. Level 1 is
// the API of the first release.
const APILevel = 1

// LevelHeader is the header, or metadata, in which a caller says the level that it was
// written for. Without it a call is served with what there is.
const LevelHeader = "fanoutd-api-level"

// CheckLevel refuses a call whose values of [LevelHeader] ask for more than this daemon
// has: UNIMPLEMENTED with the reason API_TOO_OLD. All levels below are served. What is no
// level is INVALID_ARGUMENT.
func CheckLevel(values []string) error {
	for _, value := range values {
		level, err := strconv.ParseUint(value, 10, 16)
		if err != nil || level == 0 {
			return apiLevelInvalid.err(fmt.Sprintf("%s: %.64q is no level: they are numbered from 1", LevelHeader, value))
		}
		if level > APILevel {
			return apiTooOld.err(
				fmt.Sprintf("the caller was written for level %d of the API and this daemon has level %d: upgrade fanoutd, or use an older package", level, APILevel),
				strconv.FormatUint(level, 10), strconv.Itoa(APILevel))
		}
	}
	return nil
}
