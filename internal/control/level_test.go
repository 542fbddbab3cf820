package control

import (
	"strconv"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestCheckLevel(t *testing.T) {
	next := strconv.Itoa(APILevel + 1)
	for name, test := range map[string]struct {
		values []string
		code   codes.Code
		reason string
	}{
		"none":            {nil, codes.OK, ""},
		"the first":       {[]string{"1"}, codes.OK, ""},
		"this one":        {[]string{strconv.Itoa(APILevel)}, codes.OK, ""},
		"the next":        {[]string{next}, codes.Unimplemented, "API_TOO_OLD"},
		"two, one of it":  {[]string{"1", next}, codes.Unimplemented, "API_TOO_OLD"},
		"zero":            {[]string{"0"}, codes.InvalidArgument, "API_LEVEL_INVALID"},
		"no number":       {[]string{"1.0"}, codes.InvalidArgument, "API_LEVEL_INVALID"},
		"a number beyond": {[]string{"65536"}, codes.InvalidArgument, "API_LEVEL_INVALID"},
		"empty":           {[]string{""}, codes.InvalidArgument, "API_LEVEL_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			st := status.Convert(CheckLevel(test.values))
			if st.Code() != test.code {
				t.Fatalf("%v, want %v", st, test.code)
			}
			if test.reason == "" {
				return
			}
			info := st.Details()[0].(*errdetails.ErrorInfo)
			if info.GetReason() != test.reason {
				t.Errorf("the reason is %q, want %q", info.GetReason(), test.reason)
			}
			if test.code == codes.Unimplemented && (info.GetMetadata()["needed"] != next || info.GetMetadata()["level"] != strconv.Itoa(APILevel)) {
				t.Errorf("the details are %v", info.GetMetadata())
			}
		})
	}
}
