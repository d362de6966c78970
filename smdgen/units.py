"""Units used inside smdgen (A, ps, kcal/mol, K) and the conversions at its borders."""

#: Boltzmann's constant, kcal/mol/K. Source: CODATA 2018 (exact k_B and N_A), 1 cal = 4.184 J.
BOLTZMANN = 8.314462618e-3 / 4.184

#: kJ in one kcal (thermochemical calorie).
KJ_PER_KCAL = 4.184

#: A in one nm.
ANGSTROM_PER_NM = 10.0

#: ps in one AKMA time unit, in which CHARMM and NAMD write the DCD time step.
#: Source: CHARMM's documentation, usage.doc (1 AKMA = 4.888821e-14 s).
PS_PER_AKMA = 4.888821e-2

#: A. A coordinate this far out is none: files are damaged there, simulations blew up.
LARGEST_COORDINATE = 1e5
