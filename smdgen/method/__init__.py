"""The method, in the order a frame travels. Torch only: nothing here reads or writes files.

The default in one sentence: an internal-coordinate VAE with TorchMD bonded energies (linear PCA path + MLP)
-> LSTM memory over the soft torsions -> conditional flow matching with a residue transformer -> Newton
guidance on the CV between flow times 0.3 and 0.9 -> decoder noise -> 8 candidates reweighted by a critic
(sampling-importance resampling, exponent 1/2) with clash rejection -> superposition on the frame before.

| step                | equation                                              | file                     |
|---------------------|-------------------------------------------------------|--------------------------|
| features            | f = (internal(x) - mean) / sd                         | features/internal.py     |
| - of one long chain | z = P m, m: map of CA distances; f drawn given m      | fold.py                  |
| - its local part    | f = lengths, angles, torsions by residue and kind     | features/local.py        |
| - its decoding      | torsions turned until the map and the CV are met      | torsion_fit.py           |
| - its mean          | z(c), subtracted before the dynamics                  | mean_path.py             |
| - of other large    | f = (aligned x, near distances), standardised         | features/aligned.py      |
| encode              | z = W f + b + MLP(f)                                  | autoencoder.py           |
| loss of frames      | Gaussian NLL + shape + E(bonded) + CV + KL            | autoencoder.py           |
| target path         | c(t) ~ GP(training paths), given start and target     | target_path.py           |
| memory              | h(t) = LSTM(soft torsions, CV, target CV, dt)         | dynamics.py              |
| flow                | du/ds = v(u, s, h), u(0) ~ N(0, 1), u(1) = z(t + 1)   | dynamics.py              |
| - on residues       | v += P transformer(P' u)                              | transformer.py           |
| - before learning   | v += (2 s - 1) u / ((1 - s)^2 + s^2), keeps N(0, 1)   | dynamics.py              |
| loss of the flow    | mean of (v - (z(t + 1) - noise))^2                    | dynamics.py              |
| guidance            | u += -s g (CV - c) / g^2, g = dCV/dz, within the flow | dynamics.py, guidance.py |
| - after the flow    | z += -g (CV - c) / g^2 until the CV is the target     | guidance.py              |
| decode              | f = W' z + b' + MLP(z) + sd noise, x = frame(f)       | autoencoder.py           |
| candidates          | p(i) ~ exp(critic(i) / 2), 0 where atoms clash        | critic.py                |
| superposition       | x(t + 1) laid onto x(t)                               | rollout.py               |

`presets.py` holds all numbers, `model.py` says what a method is (`Method`), `default.py` puts the steps above
together, and `paper.py` is the published method, whole. Trainings are in `smdgen/training/`.
"""
