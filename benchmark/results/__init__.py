"""From results to tables: what is current, intervals and tests, leaderboards."""
