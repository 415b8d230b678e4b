"""What commands report, as documents: one file per thing that is reported."""
