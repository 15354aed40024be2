#include "simulate_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/number_text.h"
#include "hub/resolve.h"
#include "models/registry.h"
#include "models/summary.h"
#include "offload/time/host_speed.h"
#include "options/number_options.h"
#include "tensor/device/card_speed.h"
#include "tensor/device/device.h"

namespace foregate {
namespace {

constexpr int64_t kMostSequences = 4096;
constexpr int64_t kMostThreads = 256;
constexpr int64_t kMostLayersAhead = 1 << 16;
constexpr int64_t kMostPieces = 1024;
constexpr double kMostMicroseconds = 1e6;
constexpr double kMostBits = 64;
constexpr double kDefaultBits = 16;
constexpr std::string_view kMeasure = "measure";
constexpr const char* kAssumed = "rtx4090";  // for what is not measured
constexpr std::string_view kOracle = "oracle-";
constexpr std::string_view kStandIn = "stand-in:";

std::vector<std::string> split_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
  }
  return parts;
}

/// Values of a repeatable option, each of which may be a list with commas.
std::vector<std::string> listed(const std::vector<std::string>& texts) {
  std::vector<std::string> all;
  for (const std::string& text : texts) {
    for (std::string& part : split_at(text, ',')) all.push_back(std::move(part));
  }
  return all;
}

double parse_field(const std::string& spec, const std::string& field, double low, double high) {
  const size_t equals = field.find('=');
  const auto value =
      equals == std::string::npos ? std::nullopt : parse_decimal(field.substr(equals + 1));
  if (!value || *value < low || *value > high) {
    throw UsageError(fmt::format("--predictor {}: '{}' is not of the form NAME=VALUE with {} to {}",
                                 spec, field, low, high));
  }
  return *value;
}

offload::StandInOptions parse_stand_in(const std::string& spec, uint64_t seed) {
  offload::StandInOptions options;
  options.seed = seed;
  for (const std::string& field : split_at(spec.substr(kStandIn.size()), ',')) {
    if (field.starts_with("recall=")) {
      options.recall = parse_field(spec, field, 0, 1);
    } else if (field.starts_with("precision=")) {
      options.precision = parse_field(spec, field, 0.001, 1);
    } else if (field.starts_with("lead=")) {
      options.lead = static_cast<int>(parse_field(spec, field, 1, kMostLayersAhead));
    } else {
      throw UsageError(
          fmt::format("--predictor {}: '{}' is none of recall=, precision= and lead=; e.g. "
                      "stand-in:recall=0.8,precision=0.7,lead=2",
                      spec, field));
    }
  }
  return options;
}

torch::Device device_to_measure(const RunContext& run) {
  try {
    return tensor::choose_device("cuda", run.log);
  } catch (const DeviceError&) {
    throw DeviceError(
        "--hardware measure needs a GPU and a foregate built with CUDA; there is none here: name a "
        "card, or give a profile's JSON file");
  }
}

/// This machine's card and link. What is not measured is as in the named profiles: the floor of a
/// layer, what handing over to the CPU takes, and the storage.
offload::HardwareProfile measured_hardware(const RunContext& run) {
  const tensor::CardSpeed speed = tensor::measure_card(device_to_measure(run), run);
  offload::HardwareProfile profile = offload::find_hardware(kAssumed);
  profile.name = speed.name;
  profile.source = fmt::format(
      "measured here: pinned copies, a matrix times a vector, products of matrices; storage and "
      "launches assumed, as of {}",
      kAssumed);
  profile.host_to_device = {speed.copies.front().seconds, {}};
  for (size_t i = 1; i < speed.copies.size(); ++i) {
    const auto& [bytes, seconds] = speed.copies[i];
    const double moving = std::max(seconds - speed.copies.front().seconds, seconds / 2);
    profile.host_to_device.points.push_back({bytes, bytes / moving});
  }
  profile.device_bytes_per_second = speed.bytes_per_second;
  profile.device_flops = speed.flops;
  return profile;
}

using MakeForesight = std::function<std::unique_ptr<offload::Foresight>()>;

MakeForesight parse_part(const std::string& part, const SimulateArguments& arguments,
                         const trace::Geometry& geometry, Foresights& foresights) {
  if (part.starts_with(kOracle)) {
    const auto depth = parse_whole_number(std::string_view(part).substr(kOracle.size()));
    if (!depth || *depth == 0 || *depth > kMostLayersAhead) {
      throw UsageError(
          fmt::format("--predictor {} knows no number of layers; expected e.g. oracle-4", part));
    }
    return [geometry, layers = static_cast<int>(*depth)] {
      return offload::make_oracle(geometry, layers);
    };
  }
  if (part.starts_with(kStandIn)) {
    return [geometry, options = parse_stand_in(part, arguments.seed)] {
      return offload::make_stand_in(geometry, options);
    };
  }
  foresights.trained.push_back(std::make_unique<offload::TrainedPredictor>(part, geometry));
  const float least = arguments.threshold
                          ? std::min(kLeastProbability, static_cast<float>(*arguments.threshold))
                          : kLeastProbability;
  return [predictor = foresights.trained.back().get(), schedule = parse_schedule(arguments),
          least] { return predictor->foresight(schedule, least); };
}

}  // namespace

std::string hardware_names() {
  std::string names;
  for (const offload::HardwareProfile& profile : offload::hardware_profiles())
    names += (names.empty() ? "" : ", ") + profile.name;
  return names;
}

void add_size_options(CLI::App& command, SimulateArguments& arguments) {
  command.add_option("--expert-size", arguments.expert_size,
                     "Size of one expert, instead of --model, e.g. 17.3MB");
  command.add_option("--dense-size", arguments.dense_size,
                     "Weights read for every token beside routed experts, instead of --model");
  add_decimal_option(command, "--bits", arguments.bits, {1, kMostBits},
                     "Bits a weight that the experts are kept in (default: 16)");
}

void add_simulate_options(CLI::App& command, SimulateArguments& arguments) {
  command.add_option("--traces", arguments.traces, "Trace directory")->required();
  command
      .add_option("--budget", arguments.budgets,
                  "Sizes of the expert cache: experts (500), a share of all (30%) or memory (8GB); "
                  "a list with commas, repeatable (default: 5%,10%,20%,30%,50%,70%)")
      ->allow_extra_args(false);
  command
      .add_option(
          "--policy", arguments.policies,
          "Cache policies, as --budget: lru, lru-token, lfu, lrfu-H (half-life of H tokens), "
          "least-stale, static, belady (with bypass), belady-demand; -layer behind one gives "
          "every layer its own share")
      ->allow_extra_args(false);
  command
      .add_option("--split", arguments.split,
                  "Texts to replay (default: test with a trained predictor, else all)")
      ->check(CLI::IsMember({"test", "all"}));
  add_number_option(command, "--texts", arguments.texts, {1, kMostCounted},
                    "Only the first so many of them");
  add_number_option(command, "--sequences", arguments.sequences, {1, kMostSequences},
                    "Texts that are open at a time and take turns, token by token");
  add_number_option(command, "--prompt-batch", arguments.prompt_batch, {0, kMostAtOnce},
                    "Run prompts in batches of so many tokens, each the union of its experts; 0: "
                    "token by token, as if they were generated");
  command.add_flag("--cold", arguments.cold, "Empty the cache before every text");
  add_number_option(command, "--threads", arguments.threads, {1, kMostThreads},
                    "(default: one a core)");
  add_seed_option(command, "--seed", arguments.seed, "Of stand-ins");
  command.add_option("--hardware", arguments.hardware,
                     "Also simulate the time, on a card by name (" + hardware_names() +
                         "), on the profile of a JSON file, or on what "
                         "`measure` finds here");
  command.add_option("--model", arguments.model,
                     "The model's directory, or OWNER/NAME that was pulled, for its sizes");
  add_size_options(command, arguments);
  command
      .add_option(
          "--predictor", arguments.predictors,
          "What prefetches: a directory that train wrote, oracle-D (knows the next D layers) "
          "or stand-in:recall=R,precision=P,lead=H; several with + between them; repeatable")
      ->allow_extra_args(false)
      ->needs("--hardware");
  add_probability_option(command, "--threshold", arguments.threshold,
                         "Prefetch what is at least so probable (default: what saves more than it "
                         "displaces)");
  add_number_option(command, "--depth", arguments.depth, {1, kMostLayersAhead},
                    "Layers ahead that a prefetch is begun at most");
  add_number_option(command, "--pieces", arguments.pieces, {1, kMostPieces},
                    "Pieces of a prefetch, between which a miss overtakes it");
  add_decimal_option(
      command, "--predictor-cost", arguments.predictor_microseconds, {0, kMostMicroseconds},
      "Microseconds that the card computes whenever something is foreseen (default: 0)");
  command.add_flag("--cpu-experts", arguments.cpu_experts,
                   "Let the CPU compute misses beside the link where that is sooner; one of a "
                   "layer stays with the link");
  command.add_option(
      "--host-memory", arguments.host_memory,
      "Host memory for experts; what does not fit is read from storage (default: all "
      "fit)");
  command
      .add_flag("--measure-host", arguments.measure_host,
                "Measure how fast this machine reads its memory, instead of the profile's host")
      ->needs("--hardware");
  command
      .add_option("--save-hardware", arguments.save_hardware,
                  "Write the profile that is used to this JSON file")
      ->needs("--hardware");
  CLI::Option* fit = command.add_option(
      "--fit", arguments.fit, "Find the best that fits into so much memory of the card, e.g. 8GB");
  command
      .add_option("--target", arguments.target,
                  "Find the smallest cache that reaches this speed, e.g. 20tok/s")
      ->needs("--hardware")
      ->excludes(fit);
  command
      .add_option(
          "--timeline", arguments.timeline,
          "Write the first steps of the last configuration as a Chrome trace, which Perfetto "
          "opens")
      ->needs("--hardware");
  command.add_flag("--json", arguments.json, "Print one JSON document");
}

Budget parse_budget(const std::string& text, const std::string& option,
                    const trace::Geometry& geometry, double expert_bytes) {
  const int64_t all = int64_t{geometry.num_moe_layers} * geometry.num_experts;
  if (const auto experts = parse_whole_number(text); experts && *experts > 0) {
    return {text, static_cast<int64_t>(std::min<uint64_t>(*experts, all))};
  }
  if (text.ends_with('%')) {
    const auto percent = parse_decimal(text.substr(0, text.size() - 1));
    if (percent && *percent > 0 && *percent <= 100)
      return {text, static_cast<int64_t>(*percent / 100 * static_cast<double>(all) + 1e-9)};
  } else if (!parse_whole_number(text)) {
    const int64_t bytes = parse_bytes(text, option);
    if (expert_bytes == 0) {
      throw UsageError(
          fmt::format("{} {} is memory, and nothing says how large an expert is; give --model or "
                      "--expert-size, or a share such as 30%",
                      option, text));
    }
    return {text, std::min(all, static_cast<int64_t>(static_cast<double>(bytes) / expert_bytes))};
  }
  throw UsageError(
      fmt::format("{} {} is no size of a cache; expected a number of experts, a share (30%) "
                  "or memory (8GB)",
                  option, text));
}

std::vector<Budget> parse_budgets(const std::vector<std::string>& texts,
                                  const trace::Geometry& geometry, double expert_bytes) {
  std::vector<Budget> budgets;
  for (const std::string& text : listed(texts))
    budgets.push_back(parse_budget(text, "--budget", geometry, expert_bytes));
  return budgets;
}

std::vector<offload::Policy> parse_policies(const std::vector<std::string>& names) {
  std::vector<offload::Policy> policies;
  for (const std::string& name : listed(names)) policies.push_back(offload::parse_policy(name));
  return policies;
}

offload::ScheduleOptions parse_schedule(const SimulateArguments& arguments) {
  offload::ScheduleOptions schedule{arguments.sequences, arguments.cold, arguments.prompt_batch};
  offload::check_schedule(schedule);
  return schedule;
}

offload::ModelCost parse_model_cost(const SimulateArguments& arguments,
                                    const trace::Geometry& geometry) {
  offload::ModelCost cost;
  cost.num_layers = geometry.num_moe_layers;
  cost.bytes_per_weight = arguments.bits.value_or(kDefaultBits) / 8;
  if (!arguments.model.empty()) {
    const std::filesystem::path directory =
        hub::find_model(arguments.model, {.files = {"config.json"}}, hub::read_environment());
    const models::ModelConfig config = models::read_model_config(directory / "config.json");
    if (config.num_experts != geometry.num_experts || config.top_k != geometry.top_k) {
      throw UsageError(fmt::format(
          "--model {} chooses {} of {} experts, the trace {} of {}; give the model of the trace",
          arguments.model, config.top_k, config.num_experts, geometry.top_k, geometry.num_experts));
    }
    const models::ModelSummary summary = models::summarize(config);
    cost.expert_bytes = static_cast<double>(summary.per_expert) * cost.bytes_per_weight;
    const auto layers = static_cast<int64_t>(config.moe_layers.size());
    cost.dense_bytes =
        static_cast<double>(summary.active - summary.per_expert * config.top_k * layers) *
        cost.bytes_per_weight;
  }
  if (!arguments.expert_size.empty())
    cost.expert_bytes = static_cast<double>(parse_bytes(arguments.expert_size, "--expert-size"));
  if (!arguments.dense_size.empty())
    cost.dense_bytes = static_cast<double>(parse_bytes(arguments.dense_size, "--dense-size"));
  return cost;
}

offload::HardwareProfile parse_hardware(const SimulateArguments& arguments, const RunContext& run) {
  const std::filesystem::path path = arguments.hardware;
  offload::HardwareProfile profile;
  if (arguments.hardware == kMeasure) {
    profile = measured_hardware(run);
  } else if (path.extension() == ".json") {
    const Json json = read_json(path);
    profile = offload::hardware_from_json(JsonReader(json, path.string()));
  } else {
    profile = offload::find_hardware(arguments.hardware);
  }
  if (arguments.measure_host || arguments.hardware == kMeasure) {
    const offload::HostSpeed speed = offload::measure_host(run);
    profile.host_bytes_per_second = speed.read_bytes_per_second;
    profile.host_bytes_per_second_beside_link = speed.read_bytes_per_second_beside_copy;
    profile.source +=
        fmt::format("; host memory measured here with {}", number_of(speed.threads, "thread"));
    profile.name += "+host";
  }
  return profile;
}

double parse_target(const std::string& text) {
  constexpr std::string_view kUnit = "tok/s";
  std::string_view number = text;
  if (number.ends_with(kUnit)) number.remove_suffix(kUnit.size());
  while (number.ends_with(' ')) number.remove_suffix(1);
  const auto rate = parse_decimal(number);
  if (!rate || *rate <= 0) {
    throw UsageError(
        fmt::format("--target '{}' is no speed; expected tokens a second, e.g. 20tok/s", text));
  }
  return *rate;
}

Foresights parse_foresights(const SimulateArguments& arguments, const trace::Geometry& geometry) {
  Foresights foresights;
  for (const std::string& spec : arguments.predictors) {
    std::vector<MakeForesight> parts;
    const bool one = std::filesystem::is_directory(spec);  // whose name may hold a +
    for (const std::string& part : one ? std::vector{spec} : split_at(spec, '+'))
      parts.push_back(parse_part(part, arguments, geometry, foresights));
    foresights.choices.push_back({spec, [parts] {
                                    std::vector<std::unique_ptr<offload::Foresight>> made;
                                    for (const MakeForesight& part : parts) made.push_back(part());
                                    return offload::make_foresight_of(std::move(made));
                                  }});
  }
  return foresights;
}

}  // namespace foregate
