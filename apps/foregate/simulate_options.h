#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "offload/prediction/foresight.h"
#include "offload/prediction/trained.h"
#include "offload/replay/steps.h"
#include "offload/time/timed_replay.h"
#include "trace/geometry.h"

namespace CLI {
class App;
}

namespace foregate {

/// Guesses less probable than this are not even weighed.
inline constexpr float kLeastProbability = 0.02f;

/// What `simulate` is asked, as the command line says it.
struct SimulateArguments {
  std::filesystem::path traces;
  std::vector<std::string> budgets;
  std::vector<std::string> policies;
  std::vector<std::string> predictors;
  std::string split;  ///< empty: chosen
  std::optional<int64_t> texts;
  int64_t sequences = 1;
  int64_t prompt_batch = 0;
  bool cold = false;
  std::optional<int64_t> threads;
  uint64_t seed = 0;

  std::string hardware;
  std::string model;
  std::string expert_size;
  std::string dense_size;
  std::optional<double> bits;
  std::optional<double> threshold;
  int64_t depth = 8;
  int64_t pieces = 8;
  std::optional<double> predictor_microseconds;
  bool cpu_experts = false;
  bool measure_host = false;
  std::string host_memory;
  std::filesystem::path save_hardware;

  std::string fit;
  std::string target;
  std::filesystem::path timeline;
  bool json = false;
};

void add_simulate_options(CLI::App& command, SimulateArguments& arguments);
/// Of them --expert-size, --dense-size and --bits, which tell how large a model is.
void add_size_options(CLI::App& command, SimulateArguments& arguments);
/// "rtx3090, ...": the cards there are, for help texts.
std::string hardware_names();

/// A cache's size, as it was asked for and in experts.
struct Budget {
  std::string text;
  int64_t slots = 0;
};

/// Something that foresees; several at a time are one.
struct ForesightChoice {
  std::string name;
  std::function<std::unique_ptr<offload::Foresight>()> make;
};

// Each throws UsageError for what cannot be meant, and what reading files throws.

/// Experts, a share of all ("30%") or memory ("8GB"), which needs the size of an expert.
std::vector<Budget> parse_budgets(const std::vector<std::string>& texts,
                                  const trace::Geometry& geometry, double expert_bytes);
/// One of them, of this option.
Budget parse_budget(const std::string& text, const std::string& option,
                    const trace::Geometry& geometry, double expert_bytes);
std::vector<offload::Policy> parse_policies(const std::vector<std::string>& names);
offload::ScheduleOptions parse_schedule(const SimulateArguments& arguments);
/// Sizes of the model; expert_bytes is 0 if nothing tells them.
offload::ModelCost parse_model_cost(const SimulateArguments& arguments,
                                    const trace::Geometry& geometry);
/// A named profile, or that of a JSON file; with --measure-host its host is this machine.
offload::HardwareProfile parse_hardware(const SimulateArguments& arguments, const RunContext& run);
/// Tokens a second: "20tok/s" or "20".
double parse_target(const std::string& text);

/// The predictors of --predictor, and the trained ones that they use, which must outlive them.
struct Foresights {
  std::vector<std::unique_ptr<offload::TrainedPredictor>> trained;
  std::vector<ForesightChoice> choices;
};
Foresights parse_foresights(const SimulateArguments& arguments, const trace::Geometry& geometry);

}  // namespace foregate
