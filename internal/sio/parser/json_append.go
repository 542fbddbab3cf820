package parser

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendString appends s as a JSON string, escaped as JSON.stringify does
// (ECMA-262, QuoteJSONString); each byte that is not UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0 // of what is to be copied as it is
	for i, r := range s {
		if r >= ' ' && r != '"' && r != '\\' && r != utf8.RuneError {
			continue
		}
		dst = append(dst, s[start:i]...)
		_, size := utf8.DecodeRuneInString(s[i:]) // of U+FFFD: 3, or 1 if it stands for a bad byte
		start = i + size
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r >= '\b' && r <= '\r' && r != '\v':
			dst = append(dst, '\\', "btnvfr"[r-'\b'])
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			dst = utf8.AppendRune(dst, utf8.RuneError)
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// AppendNumber appends f the way JSON.stringify writes it (ECMA-262,
// Number::toString): null if it is not finite, no sign before zero, no exponent
// from 1e-6 up to 1e21.
func AppendNumber(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f), math.IsInf(f, 0):
		return append(dst, "null"...)
	case abs == 0:
		return append(dst, '0')
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst = append(dst[:n-2], dst[n-1]) // 1e-07 is 1e-7 there
	}
	return dst
}
