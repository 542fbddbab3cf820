// Package admission decides who may connect.
package admission
