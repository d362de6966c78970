"""All numbers of both methods. A model file keeps those it was made with, so that they may change here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smdgen.method.model import Method


@dataclass(frozen=True)
class Fitting:
    """How a network is trained; a user's settings go before some of these.

    Attributes:
        epochs: Passes over the items.
        batch_size: Items per batch.
        learning_rate: The highest.
        muon: Muon for the weights of layers, AdamW for the rest; otherwise AdamW for all.
        one_cycle: Warm up and fall as a cosine; otherwise a constant rate.
        ema_decay: Decay per step of the exponential average of the weights; 0 for none.
        keep_last: Keep the weights of the last epoch, unless training diverged; otherwise those with the
            lowest validation loss.
        gradient_norm: Gradients longer than this are cut; None: they are not.
        weight_decay: Of AdamW.
        warm_up: Share of the steps in which the rate of a cycle rises, along a line.
        first_rate: The rate of a cycle at its first step, as a share of the highest.
        last_rate: Likewise at its last step.
        ema_warm_up: The decay at step t is at most (1 + t) / (this + t): early weights are soon forgotten.
        divergence: A training whose last validation loss is more than so many times its lowest has diverged.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    muon: bool = False
    one_cycle: bool = True
    ema_decay: float = 0.0
    keep_last: bool = False
    gradient_norm: float | None = None
    weight_decay: float = 0.0
    warm_up: float = 0.1
    first_rate: float = 0.05
    last_rate: float = 0.001
    ema_warm_up: int = 10
    divergence: float = 2.0


@dataclass(frozen=True)
class InternalNumbers:
    """Frames as internal coordinates.

    Attributes:
        narrow_arc: rad. A torsion that leaves this arc around its mean is kept as sine and cosine.
        wells_deviation: rad. A torsion of a group of end atoms with a circular deviation above this has
            wells: it turns, or NH2 inverts.
        soft_deviation: rad. A narrow torsion with a deviation above this tells the conformation.
        rigid_deviation: A. A bond with a smaller deviation is held rigid: no feature.
        least_deviation: Floor of the other deviations: an angle that never moves.
        n_bins: Bins of the distribution of a torsion with wells.
        even_share: Share of an even distribution in it, so that no bin is empty.
    """

    narrow_arc: float = 2.0
    wells_deviation: float = 0.6
    soft_deviation: float = 0.26
    rigid_deviation: float = 1e-3
    least_deviation: float = 1e-3
    n_bins: int = 72
    even_share: float = 0.02


@dataclass(frozen=True)
class AlignedNumbers:
    """Frames as coordinates laid onto a mean, with distances between near atoms.

    Attributes:
        most_bonds: Atoms so many bonds apart count as near if they are stiff, those with fewer always.
        stiff_deviation: A. They are stiff if their distance varies less.
        distance_share: Share of the components' variance that a distance has beside a coordinate.
        least_deviation: A. Floor of the deviations of distances.
        sweeps: Sweeps that move decoded atoms to their distances.
        radius: Share of what is wrong that a plain sweep is taken to leave; the momentum follows from it.
        training_sweeps: The same in training, for its time and memory.
        training_radius: Likewise.
        shortest: A. No decoded distance is shorter.
        least_distance: A. Floor of the distances that the sweeps divide by.
        n_rounds: Rounds in which the mean frame is found.
    """

    most_bonds: int = 3
    stiff_deviation: float = 0.12
    distance_share: float = 0.1
    least_deviation: float = 1e-3
    sweeps: int = 40
    radius: float = 0.97
    training_sweeps: int = 10
    training_radius: float = 0.85
    shortest: float = 0.5
    least_distance: float = 0.05
    n_rounds: int = 3


@dataclass(frozen=True)
class AutoencoderNumbers:
    """The default method's autoencoder.

    Attributes:
        fit: How it is trained.
        most_latents: Most latents; a smaller system has as many as features.
        least_hidden: Width of its layers, at least.
        hidden_per_feature: Width of its layers for each feature.
        most_hidden: Width of its layers, at most.
        n_layers: Hidden layers each way.
        recon_weight: Of the reconstruction in the loss.
        kl_weight: Of the KL divergence.
        energy_weight: Of each bonded energy.
        cartesian_weight: Of the CV and of the distances between atoms.
        least_energy_deviation: kcal/mol. Floor of the deviations by which bonded energies are divided.
        most_shape_atoms: Atoms whose mutual distances enter the loss; a larger system draws as many anew.
        first_log_variance: Of the latents, before training.
        first_log_std: Of the decoder's noise, before training.
        least_variance: Floor of the variance of a component.
        least_noise: Floor of the decoder's noise, in standardised features.
    """

    fit: Fitting = Fitting(epochs=40, batch_size=128, learning_rate=1e-3, ema_decay=0.99, gradient_norm=5.0)
    most_latents: int = 512
    least_hidden: int = 256
    hidden_per_feature: int = 2
    most_hidden: int = 1024
    n_layers: int = 2
    recon_weight: float = 1.0
    kl_weight: float = 0.003
    energy_weight: float = 0.02
    cartesian_weight: float = 1.0
    least_energy_deviation: float = 1e-3
    most_shape_atoms: int = 64
    first_log_variance: float = -4.0
    first_log_std: float = -2.5
    least_variance: float = 1e-3
    least_noise: float = 1e-6


@dataclass(frozen=True)
class TransformerNumbers:
    """The transformer over residues.

    Attributes:
        width: Numbers per residue.
        n_layers: Layers.
        n_heads: Attention heads.
        mlp_ratio: Width of the network after attention, in multiples of the first.
        most_apart: Residues further apart in the file share one learned attention bias.
        first_std: Of the vectors that tell residues apart, before training.
    """

    width: int = 64
    n_layers: int = 4
    n_heads: int = 4
    mlp_ratio: int = 2
    most_apart: int = 32
    first_std: float = 0.1


@dataclass(frozen=True)
class TorsionFitNumbers:
    """How torsions are fitted to a map of distances.

    Attributes:
        spans: Residues along the chain up to which distances count, stage by stage; then all do.
        stage_steps: Steps of each of these stages.
        last_steps: Most steps with all distances, overlaps and the CV.
        distance_share: What all distances together count, in multiples of the coordinates of their atoms.
        outlier: Deviations beyond which a distance counts linearly in the last stage.
        torsion_deviation: rad. Of a torsion from where it is wanted.
        margin: A. Added to the least distances of atoms.
        overlap_deviation: A. Of atoms that are too near.
        most_overlaps: Overlaps that are mended at a time, the worst.
        cv_deviation: Of the CV, in its unit; at the end it is met.
        newton_steps: Most steps that bring the CV onto its target at the end.
        on_target: How near is enough, in its unit.
        longest_turn: rad. Of one torsion in one step.
        first_damping: lambda of the first step.
        relaxed: Factor on lambda after a step that is taken.
        stiffened: And after one that is not.
        least_damping: Of lambda.
        settled: A stage ends where the sum of squares falls by less than this share.
    """

    spans: tuple[int, ...] = (8, 16, 32, 64, 128)
    stage_steps: int = 3
    last_steps: int = 10
    distance_share: float = 5.0
    outlier: float = 1.0
    torsion_deviation: float = 0.25
    margin: float = 0.2
    overlap_deviation: float = 0.1
    most_overlaps: int = 256
    cv_deviation: float = 0.05
    newton_steps: int = 10
    on_target: float = 1e-3
    longest_turn: float = 0.5
    first_damping: float = 1e-2
    relaxed: float = 0.2
    stiffened: float = 8.0
    least_damping: float = 1e-5
    settled: float = 0.01


@dataclass(frozen=True)
class MeanPathNumbers:
    """The mean of latents along the CV.

    Attributes:
        n_knots: CVs at which it is kept.
        widths: Of the regression, to choose from, in shares of the range of the CV.
        gap_share: The width is at least this share of the way to the nearest frames of both sides.
        ridge: Added to the spread that the slope divides by, in squares of the width.
        least_range: Floor of the range of the CV, in its unit.
        left_out: Frames before and after one in time that do not tell how well a width does.
    """

    n_knots: int = 96
    widths: tuple[float, ...] = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
    left_out: int = 2
    gap_share: float = 0.3
    ridge: float = 1e-4
    least_range: float = 1e-6


@dataclass(frozen=True)
class FoldNumbers:
    """The autoencoder of folded chains: a map of CA distances, and local geometry drawn for it.

    Attributes:
        fit: How it is trained.
        latent_size: Components of the map.
        least_residues: Fewer residues have no fold.
        near_span: Residues along the chain up to which all distances are in the map.
        far_pairs: Distances beyond that for each residue, drawn once.
        distance_scale: A. A distance d enters as log(1 + d / scale) / share ...
        distance_share: ... so that one unit is an uncertainty of share x (scale + d).
        map_noise: Of the map in training, in these units: what the dynamics may be off.
        gaps: Residues along the chain between the CA whose distances a residue is told.
        n_frequencies: Frequencies with which the flow time enters.
        n_ode_steps: Steps of Heun's method from noise to local geometry.
        noise_scales: Of the noise that local geometry is drawn from, the least and the most.
        noise_halvings: Steps in which it is found.
        energy_from: Flow time from which the bonded energies of the expected end point count.
        batches_per_epoch: So many batches count as an epoch, however few the frames.
        least_std: Floor of the standard deviation of a component, in units of the map.
        rows_at_once: Frames that are fitted at a time.
        first_std: Of the vectors that tell residue types apart, before training.
    """

    fit: Fitting = Fitting(
        epochs=40, batch_size=16, learning_rate=5e-3, muon=True, ema_decay=0.995, gradient_norm=1.0,
        weight_decay=0.01,
    )  # fmt: skip
    latent_size: int = 32
    least_residues: int = 12
    near_span: int = 8
    far_pairs: int = 10
    distance_scale: float = 10.0
    distance_share: float = 0.04
    map_noise: float = 0.3
    gaps: tuple[int, ...] = (3, 4, 5, 6, 8)
    n_frequencies: int = 8
    n_ode_steps: int = 6
    noise_scales: tuple[float, float] = (0.8, 1.0)
    noise_halvings: int = 5
    energy_from: float = 0.8
    batches_per_epoch: int = 40
    least_std: float = 0.03
    rows_at_once: int = 8
    first_std: float = 0.1
    transformer: TransformerNumbers = TransformerNumbers(n_layers=3)
    torsion_fit: TorsionFitNumbers = TorsionFitNumbers()
    mean_path: MeanPathNumbers = MeanPathNumbers()


@dataclass(frozen=True)
class DynamicsNumbers:
    """The default method's dynamics, as they are built and trained.

    Attributes:
        fit: How they are trained.
        hidden_size: Width of the LSTM.
        head_size: Width of the head, at least.
        n_blocks: Residual blocks of the head.
        n_frequencies: Frequencies with which the flow time enters the head.
        step_factor: Weight of the difference of target CV and CV in the scaled condition.
        memory_noise: Standard deviation of the disturbance of the soft torsions that the LSTM sees in
            training: a rollout must bear its own errors, and must not memorise training pulls.
        n_steps: Steps of a training sequence, where pulls are long enough.
        least_strides: The longest pull has room for at least so many strides of a sequence.
        least_deviation: Floor of the deviations by which latents and CV are divided.
        batches_per_epoch: Sequences are drawn anew each time, so many batches count as an epoch.
        most_passes: Most passes over the training frames, for which fewer epochs are taken.
        fewest_epochs: But not fewer than these.
        most_residues: Most frames x residues in a batch.
        most_read: Numbers that a layer reads from which on the rate falls as their inverse.
        n_validation_batches: Validation sequences that are drawn, in multiples of a batch.
        n_validation_rounds: Draws of these, each with its own stride, whose losses are averaged.
    """

    fit: Fitting = Fitting(
        epochs=40,
        batch_size=32,
        learning_rate=5e-3,
        muon=True,
        ema_decay=0.995,
        keep_last=True,
        gradient_norm=1.0,
    )
    hidden_size: int = 128
    head_size: int = 256
    n_blocks: int = 2
    n_frequencies: int = 8
    step_factor: float = 3.0
    memory_noise: float = 0.3
    n_steps: int = 10
    least_strides: int = 4
    least_deviation: float = 1e-3
    batches_per_epoch: int = 40
    most_passes: int = 160
    fewest_epochs: int = 5
    most_residues: int = 6_400
    most_read: int = 512
    n_validation_batches: int = 2
    n_validation_rounds: int = 4


@dataclass(frozen=True)
class SamplingNumbers:
    """How the default method draws a next frame.

    Attributes:
        n_ode_steps: Steps of Heun's method from noise to the next latent.
        guidance_from: Flow time from which samples are guided to the target CV.
        guidance_to: Flow time up to which.
        n_newton_steps: Most Newton steps that bring the CV onto its target after each sampled step.
        cv_tolerance: How near is enough, in the CV's unit.
        least_square: Floor of |dCV/dz|^2, by which these steps divide.
        n_candidates: Candidates drawn for each next frame, where there is a critic.
        critic_exponent: Share of the critic's log odds that counts. In full they narrow pulls, most likely
            because it knows true frames of the training pulls alone and not the memory of each candidate.
        min_total_weight: More candidates are drawn where the weights of all add up to less.
        most_redraws: At most so many times.
        clash_log_weight: Log weight of a candidate that clashes.
        clash_heavy: A. Heavy atoms four or more bonds apart clash if nearer.
        clash_hydrogen: A. The same where one is a hydrogen.
    """

    n_ode_steps: int = 20
    guidance_from: float = 0.3
    guidance_to: float = 0.9
    n_newton_steps: int = 10
    cv_tolerance: float = 1e-3
    least_square: float = 1e-12
    n_candidates: int = 8
    critic_exponent: float = 0.5
    min_total_weight: float = 4.0
    most_redraws: int = 10
    clash_log_weight: float = -1e9
    clash_heavy: float = 2.4
    clash_hydrogen: float = 1.4


@dataclass(frozen=True)
class CriticNumbers:
    """The critic of next frames.

    Attributes:
        fit: How it is trained.
        most_distances: Most distances that it sees, an even choice of all.
        centres: A. Distances at which it looks closely.
        widths: A. How wide each of these is.
        distance_scale: A. In which it sees a distance itself.
        width: Width of its layers.
        dropout: Share of their values that training drops.
        farthest: Standard deviations beyond which an input counts no further.
        least_deviation: Added to the deviation of its inputs.
        samples_per_frame: Next frames sampled for each training frame.
        most_residues: Most frames x residues sampled.
        fewest_samples: No critic where there are fewer.
        n_rows: Sequences sampled at a time.
        validation_share: Validation samples for each training sample.
    """

    fit: Fitting = Fitting(epochs=20, batch_size=128, learning_rate=5e-4, ema_decay=0.99, weight_decay=0.01)
    most_distances: int = 2000
    centres: tuple[float, ...] = (4.0, 5.0, 6.0, 7.5, 9.5, 12.0, 16.0)
    widths: tuple[float, ...] = (0.7, 0.7, 0.8, 1.0, 1.5, 2.0, 3.0)
    distance_scale: float = 10.0
    width: int = 128
    dropout: float = 0.4
    farthest: float = 5.0
    least_deviation: float = 1e-3
    samples_per_frame: int = 2
    most_residues: int = 200_000
    fewest_samples: int = 1000
    n_rows: int = 32
    validation_share: float = 1 / 8


@dataclass(frozen=True)
class PathNumbers:
    """How the CV of a new pull follows that of the training pulls.

    Attributes:
        net_share: A pull goes one way if it ends at least this share of its range from where it began.
        part_share: A part of a pull goes the other way if it covers at least this share of the range of
            all pulls; less is a fluctuation (a slack spring lets deca-alanine fall back by a sixth).
        least_pulls: Least share of the pulls that has to go a way, so that it counts as covered.
        given_deviation: Uncertainty of a CV that is given (start, target), in the CV's unit.
        near_start: A start within so many usual spreads of where the pulls begin is their beginning.
    """

    net_share: float = 0.5
    part_share: float = 0.25
    least_pulls: float = 0.1
    given_deviation: float = 0.05
    near_start: float = 2.0


@dataclass(frozen=True)
class DefaultNumbers:
    """All numbers of the default method.

    Attributes:
        internal: Internal coordinates, its features.
        aligned: Aligned coordinates, the features where internal ones do not hold a fold.
        autoencoder: Its autoencoder.
        dynamics: Its dynamics.
        transformer: The transformer in these.
        sampling: How it draws a next frame.
        critic: Of next frames.
        paths: CV of new pulls.
        n_reference_frames: Training frames kept with the model to judge how near a start is to them.
        fold: The autoencoder of folded chains; None in files from before there was one.
    """

    internal: InternalNumbers = InternalNumbers()
    aligned: AlignedNumbers = AlignedNumbers()
    autoencoder: AutoencoderNumbers = AutoencoderNumbers()
    dynamics: DynamicsNumbers = DynamicsNumbers()
    transformer: TransformerNumbers = TransformerNumbers()
    sampling: SamplingNumbers = SamplingNumbers()
    critic: CriticNumbers = CriticNumbers()
    paths: PathNumbers = PathNumbers()
    n_reference_frames: int = 200
    fold: FoldNumbers | None = None


@dataclass(frozen=True)
class PaperNumbers:
    """All numbers of the published method.

    The paper gives sizes, dropout, epochs and sequences of 10 frames; batch sizes, the optimiser (Adam),
    rates and the width of the LSTM (that of the latents) are the plainest.

    Attributes:
        autoencoder_fit: How the autoencoder is trained.
        latent_size: Latents.
        hidden_size: Width of the autoencoder's layers.
        dropout: Share of their values that training drops.
        recon_weight: Of the reconstruction in the loss.
        kl_weight: Of the KL divergence.
        energy_weight: Of each bonded energy.
        cartesian_weight: Of the CV.
        dynamics_fit: How the LSTM is trained.
        n_frames: Frames of a sequence.
        end_weight: Of its last frame in the loss, beside all frames.
        n_validation: Validation sequences that are drawn.
        n_validation_rounds: Draws of these, whose losses are averaged.
        paths: CV of new pulls.
        n_reference_frames: Training frames kept with the model to judge how near a start is to them.
    """

    autoencoder_fit: Fitting = Fitting(epochs=8, batch_size=32, learning_rate=1e-3, one_cycle=False)
    latent_size: int = 60
    hidden_size: int = 100
    dropout: float = 0.05
    recon_weight: float = 1.0
    kl_weight: float = 1.0
    energy_weight: float = 1.0
    cartesian_weight: float = 1.0
    dynamics_fit: Fitting = Fitting(epochs=22, batch_size=32, learning_rate=1e-3, one_cycle=False)
    n_frames: int = 10
    end_weight: float = 1.0
    n_validation: int = 128
    n_validation_rounds: int = 4
    paths: PathNumbers = PathNumbers()
    n_reference_frames: int = 200


#: Numbers of either method.
Numbers = DefaultNumbers | PaperNumbers

DEFAULT, PAPER = DefaultNumbers(fold=FoldNumbers()), PaperNumbers()

#: Most next frames that are sampled for the critic of the default method, if all its epochs are trained.
CRITIC_SAMPLES = 8000

#: The bonded energies by the names of their loss terms.
TERM_NAMES = ("bonds", "angles", "torsions")

#: The methods by the names that `--preset` takes.
METHODS: dict[str, Numbers] = {"paper": PAPER, "default": DEFAULT}


def method_of(numbers: Numbers) -> "Method":
    """The method that has these numbers."""
    from smdgen.method.default import DefaultMethod  # networks take their numbers from this module
    from smdgen.method.paper import PaperMethod

    return PaperMethod(numbers) if isinstance(numbers, PaperNumbers) else DefaultMethod(numbers)


def recorded(numbers: Numbers, representation: str) -> Numbers:
    """What a model file keeps of the numbers: those of folded chains only where there is one."""
    if isinstance(numbers, PaperNumbers) or representation == "fold":
        return numbers
    return replace(numbers, fold=None)


def autoencoder_settings(numbers: Numbers) -> dict[str, float]:
    """Numbers of the autoencoder that a user may set; a size of 0 follows the data."""
    own: PaperNumbers | AutoencoderNumbers
    if isinstance(numbers, PaperNumbers):
        own, fit, sizes = numbers, numbers.autoencoder_fit, (numbers.latent_size, numbers.hidden_size)
    else:
        own, fit, sizes = numbers.autoencoder, numbers.autoencoder.fit, (0, 0)
    return {
        "epochs": fit.epochs, "batch_size": fit.batch_size, "latent_size": sizes[0], "hidden_size": sizes[1],
        "learning_rate": fit.learning_rate, "kl_weight": own.kl_weight, "energy_weight": own.energy_weight,
        "cartesian_weight": own.cartesian_weight,
    }  # fmt: skip


def autoencoder_weights(numbers: Numbers, settings: Mapping[str, float]) -> dict[str, float]:
    """Weight of each term of the autoencoder's loss.

    Args:
        numbers: Of the method.
        settings: With the names of `autoencoder_settings`.
    """
    own = numbers if isinstance(numbers, PaperNumbers) else numbers.autoencoder
    return {
        "recon": own.recon_weight, "kl": settings["kl_weight"],
        "cv": settings["cartesian_weight"], "shape": settings["cartesian_weight"],
        **dict.fromkeys(TERM_NAMES, settings["energy_weight"]),
    }  # fmt: skip


def dynamics_settings(numbers: Numbers) -> dict[str, float]:
    """Numbers of the dynamics that a user may set; a size of 0 is that of the latents."""
    if isinstance(numbers, PaperNumbers):
        fit, hidden_size = numbers.dynamics_fit, 0
    else:
        fit, hidden_size = numbers.dynamics.fit, numbers.dynamics.hidden_size
    return {
        "epochs": fit.epochs,
        "batch_size": fit.batch_size,
        "hidden_size": hidden_size,
        "learning_rate": fit.learning_rate,
    }
