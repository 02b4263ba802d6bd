"""Explain recommendations: shares of events, category profiles, cards and pages."""
