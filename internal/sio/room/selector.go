package room

// Selector describes a set of members: the union of Rooms, IDs and Users, or
// everybody with All, without the members of the rooms in Except. A member
// counts once however many parts name it. The zero Selector selects nobody.
type Selector struct {
	Rooms  []string
	Except []string // an id is a room too
	IDs    []string
	Users  []string
	All    bool
}
