"""What happens to money and offers, independent of which opcode asked: hierarchy, charging, cycles, offers, status."""
