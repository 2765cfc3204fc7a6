package sqlstore

import (
	"context"
	"time"
)

// SetPause replaces the wait before a retry.
func (s *Store) SetPause(pause func(ctx context.Context, d time.Duration) error) { s.pause = pause }
