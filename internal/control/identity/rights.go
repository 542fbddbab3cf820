package identity

// rights are what a caller may do. They are not changed once made.
type rights struct {
	scopes []Scope // empty: all
}
