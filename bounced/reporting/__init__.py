"""What people who look at deliverability want to see, as pictures: at a terminal, and as one HTML page.

    archive ──▶ figures ──▶ terminal | page

Figures are counts of what came back. Rates are shown only where somebody says how much was sent (sent.py).
"""
