"""The cheapest fleet that holds its objective, with confidence and in every case."""
