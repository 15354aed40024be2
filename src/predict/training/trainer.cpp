#include "predict/training/trainer.h"

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/number_text.h"
#include "predict/fit_inputs.h"
#include "predict/training/adamw.h"
#include "predict/training/event_file.h"
#include "predict/training/training_state.h"
#include "tensor/device/cuda_graph.h"
#include "tensor/dtype.h"

namespace foregate::predict {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps that a GPU may be behind: after so many, their losses are looked at.
constexpr int64_t kStepsAhead = 32;

}  // namespace

struct Training::Impl {
 public:
  Impl(std::unique_ptr<TrainingTask> task, const NamedTensors& initial,
       const TrainerSettings& settings, const TrainingEnvironment& environment,
       const RunContext& run, const std::string& label)
      : task_(std::move(task)),
        settings_(settings),
        environment_(environment),
        run_(run),
        label_(label),
        device_(environment.device),
        step_on_device_(device_),
        loss_(torch::zeros({}, device_)),
        losses_(torch::zeros({device_.is_cpu() ? 1 : kStepsAhead}, device_)) {
    Json json = settings_to_json(settings.list());
    json.erase("checkpoint_seconds");  // Changes nothing but how often the state is kept.
    json["seed"] = environment.seed;
    json["dtype"] = tensor::dtype_name(environment.dtype);
    json["what"] = label + environment.identity;
    identity_ = json.dump();
    state_ = TrainingState::start(initial, device_);
    if (keeps_checkpoint() && fs::exists(environment_.checkpoint)) {
      load_training(environment_.checkpoint, identity_, state_, run_.log);
      run_.log.info("{}: going on from step {} of {}", label_, state_.step, settings_.steps);
    }
    optimizer_.emplace(state_, device_, settings_);
    first_loss_ = state_.step;
    progress_ = run_.progress.start(
        {.label = label_, .unit = "steps", .total = settings_.steps, .done_before = state_.step});
    if (!environment_.tensorboard.empty()) events_.emplace(environment_.tensorboard);
    last_checkpoint_ = Clock::now();
  }

  bool done() const { return state_.step >= settings_.steps || out_of_patience(); }

  double share() const {
    return static_cast<double>(state_.step) / static_cast<double>(settings_.steps);
  }

  void step() {
    stop_if_asked();
    if (state_.step == 0) validate();  // The start may be the best there is.
    descend();
    if (state_.step % settings_.validate_every == 0 || state_.step == settings_.steps) validate();
    progress_->update(state_.step, fmt::format("loss {:.3f}, validation recall {:.1f}% (best)",
                                               last_loss_, 100 * state_.best_recall));
    checkpoint_if_due();
  }

  void save() {
    if (!keeps_checkpoint()) return;
    read_losses();
    save_training(environment_.checkpoint, state_, identity_);
  }

  int64_t best_step() const { return state_.best_step; }

  NamedTensors result() {
    progress_->finish();
    run_.log.debug("{}: best validation recall {:.4f} at step {}", label_, state_.best_recall,
                   state_.best_step);
    if (kept_start()) {
      run_.log.warning(
          "{}: in {} nothing was better on the validation texts than the start ({:.1f}%), which is "
          "kept; more texts, more steps or a lower learning_rate may help",
          label_, number_of(state_.step, "step"), 100 * state_.best_recall);
    }
    NamedTensors best;
    for (const auto& [name, tensor] : state_.best) best[name] = tensor.cpu();
    return best;
  }

 private:
  bool kept_start() const { return state_.best_step == 0 && state_.step > 0; }

  bool keeps_checkpoint() const { return !environment_.checkpoint.empty(); }

  bool out_of_patience() const {
    return settings_.patience > 0 &&
           state_.step - state_.best_step >= settings_.patience * settings_.validate_every;
  }

  double learning_rate(int64_t step) const {
    const double done = static_cast<double>(step) / static_cast<double>(settings_.steps);
    const double rise = std::min(
        1.0, static_cast<double>(step + 1) / static_cast<double>(settings_.warmup_steps + 1));
    return settings_.learning_rate * rise * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }

  void descend() {
    task_->prepare(state_.step);
    optimizer_->set(learning_rate(state_.step), state_.step + 1);
    const auto work = [this] {
      const torch::Tensor loss = task_->loss(state_.parameters);
      optimizer_->apply(torch::autograd::grad({loss}, optimizer_->parameters()));
      loss_.copy_(loss.detach());
    };
    if (task_->repeats()) {
      step_on_device_.run(work);
    } else {
      work();
    }
    losses_[state_.step - first_loss_].copy_(loss_);
    ++state_.step;
    if (state_.step - first_loss_ == losses_.size(0)) read_losses();
  }

  /// Waits for the steps queued so far.
  void read_losses() {
    const torch::Tensor losses = losses_.cpu();
    for (int64_t step = first_loss_; step < state_.step; ++step) {
      last_loss_ = losses[step - first_loss_].item<float>();
      if (!std::isfinite(last_loss_)) {
        throw DataError(fmt::format("{}: the loss is {} at step {}; lower learning_rate", label_,
                                    last_loss_, step));
      }
      if (!events_) continue;
      events_->add("loss", step + 1, last_loss_);
      events_->add("learning_rate", step + 1, learning_rate(step));
    }
    first_loss_ = state_.step;
  }

  void validate() {
    read_losses();
    const torch::NoGradGuard no_grad;
    const double recall = task_->validate(state_.parameters);
    run_.log.debug("{}: step {}, loss {:.4f}, validation recall {:.4f}", label_, state_.step,
                   last_loss_, recall);
    if (events_) events_->add("validation_recall", state_.step, recall);
    if (recall <= state_.best_recall) return;
    state_.best_recall = recall;
    state_.best_step = state_.step;
    for (const auto& [name, tensor] : state_.parameters) state_.best[name].copy_(tensor);
  }

  void checkpoint_if_due() {
    const std::chrono::seconds interval(settings_.checkpoint_seconds);
    if (!keeps_checkpoint() || Clock::now() - last_checkpoint_ < interval) return;
    save();
    last_checkpoint_ = Clock::now();
  }

  void stop_if_asked() {
    if (!run_.stop.stop_requested()) return;
    if (!keeps_checkpoint()) throw InterruptedError("interrupted; nothing was kept");
    save();
    throw InterruptedError(fmt::format(
        "interrupted; step {} of {} is kept in {}: run the same command again to continue",
        state_.step, settings_.steps, environment_.checkpoint.string()));
  }

  const std::unique_ptr<TrainingTask> task_;
  const TrainerSettings settings_;
  const TrainingEnvironment environment_;
  const RunContext run_;
  const std::string label_;
  const torch::Device device_;
  std::string identity_;
  TrainingState state_;
  std::optional<AdamW> optimizer_;
  tensor::CudaGraph step_on_device_;
  torch::Tensor loss_;    // of the step queued last
  torch::Tensor losses_;  // of the steps since first_loss_
  int64_t first_loss_ = 0;
  double last_loss_ = 0;
  std::unique_ptr<ProgressTask> progress_;
  std::optional<EventFile> events_;
  Clock::time_point last_checkpoint_;
};

Training::Training(std::unique_ptr<TrainingTask> task, const NamedTensors& initial,
                   const TrainerSettings& settings, const TrainingEnvironment& environment,
                   const RunContext& run, const std::string& label)
    : impl_(std::make_unique<Impl>(std::move(task), initial, settings, environment, run, label)) {}

Training::~Training() = default;

bool Training::done() const {
  return impl_->done();
}

double Training::share() const {
  return impl_->share();
}

void Training::step() {
  impl_->step();
}

void Training::save() {
  impl_->save();
}

NamedTensors Training::result() {
  return impl_->result();
}

int64_t Training::best_step() const {
  return impl_->best_step();
}

void train_alone(Predictor& predictor, const FitInputs& inputs) {
  const std::unique_ptr<Training> training = predictor.start_training(inputs);
  while (!training->done()) training->step();
  predictor.end_training(*training);
}

}  // namespace foregate::predict
