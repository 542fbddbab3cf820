package token

import (
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/MicahParks/jwkset"
)

// parsePublic reads one public key in PEM.
func parsePublic(text []byte) (any, error) {
	block, err := onePEM(text)
	if err == nil && strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, errors.New("the public key is a private one: keep it where tokens are signed; openssl pkey -pubout makes the public key")
	}
	var public any
	if err == nil {
		public, err = parseBlock(block)
	}
	if err == nil {
		err = checkPublic(public)
	}
	if err != nil {
		return nil, fmt.Errorf("the public key: %w", err)
	}
	return public, nil
}

// parsePrivate reads one private key in PEM; its errors show nothing of it.
func parsePrivate(text []byte) (crypto.Signer, error) {
	block, err := onePEM(text)
	var private any
	if err == nil {
		private, err = parseBlock(block)
	}
	if err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the private key: a PEM block %.32q signs nothing", block.Type)
	}
	if err := checkPublic(signer.Public()); err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	return signer, nil
}

// parseBlock reads the key of a block, whose type says in which form it is.
func parseBlock(block *pem.Block) (any, error) {
	key, err := jwkset.LoadX509KeyInfer(block)
	if errors.Is(err, jwkset.ErrX509Infer) {
		return nil, fmt.Errorf("a PEM block %.32q", block.Type)
	}
	return key, err
}

// onePEM returns the only block of text. A second one that counts for nothing
// would be somebody's mistake.
func onePEM(text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM, as in -----BEGIN PUBLIC KEY-----")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one PEM block")
	}
	return block, nil
}
