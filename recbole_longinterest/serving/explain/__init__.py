"""Why an item was recommended: shares of events, categories, cards and pages."""
