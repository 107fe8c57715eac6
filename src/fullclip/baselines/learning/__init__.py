"""What every comparison shares: pairs and settings in, a way of learning trained and asked, rows out."""
