// dex, an identity provider, with all that it keeps in memory, and without its gRPC interface, whose
// module is not published at this version. The argument is a file of settings, in JSON.
package main

import (
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	gosundheit "github.com/AppsFlyer/go-sundheit"
	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/server/connectors"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/server/tokens"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
)

type settings struct {
	Issuer, Listen, Certificate, Key string
	Clients                          []storage.Client
	People                           []storage.Password
}

const tokenLife = 24 * time.Hour

func main() {
	content, err := os.ReadFile(os.Args[1])
	check(err)
	var known settings
	check(json.Unmarshal(content, &known))

	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	store := storage.WithStaticClients(memory.New(logger), known.Clients)
	store = storage.WithStaticPasswords(store, known.People, logger)
	local := connectors.LocalConnector
	store = storage.WithStaticConnectors(store, []storage.Connector{{ID: local, Name: "Email", Type: local}})
	now := func() time.Time { return time.Now().UTC() }
	keys, err := (&signer.LocalConfig{KeysRotationPeriod: "6h"}).Open(ctx, store, tokenLife, now, logger)
	check(err)
	refresh, err := tokens.NewRefreshTokenPolicy(logger, false, "", "", "")
	check(err)
	dex, err := server.NewServer(ctx, server.Config{
		Issuer:             known.Issuer,
		Storage:            store,
		SkipApprovalScreen: true,
		PasswordConnector:  local,
		Logger:             logger,
		Now:                now,
		HealthChecker:      gosundheit.New(),
		Signer:             keys,
		IDTokensValidFor:   tokenLife,
		RefreshTokenPolicy: refresh,
	})
	check(err)
	check(http.ListenAndServeTLS(known.Listen, known.Certificate, known.Key, dex))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
