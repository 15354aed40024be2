#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "model_options.h"
#include "options/number_options.h"
#include "output.h"
#include "predict/evaluation/evaluate.h"
#include "predict_options.h"
#include "simulate_gain.h"
#include "simulate_options.h"
#include "stats/evaluation/json.h"
#include "stats/evaluation/table.h"
#include "tensor/device/device.h"
#include "trace/geometry.h"
#include "trace/reader.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate evaluate --traces traces\n"
    "  foregate evaluate --traces traces --predictor adapter --predictor frequency --json\n"
    "  foregate evaluate --traces traces --predictor adapter --budget 12 --threshold 0.1\n"
    "  foregate evaluate --traces traces --predictor adapter --wide\n"
    "  foregate evaluate --traces traces --predictor transition --lead layer-1 --lead layer-2\n"
    "  foregate evaluate --traces traces --predictor statistics --lead layer-1 --cross-domain\n"
    "  foregate evaluate --traces traces --predictor trained --value rtx4090 --expert-size 17.3MB\n"
    "Predictors given by name are fitted on the training split first; trained ones are given as "
    "the directory that\n"
    "`foregate train` wrote. The own-router control is computed whenever the trace has hidden "
    "states.";

struct Arguments {
  predict::EvaluateOptions options;
  std::string model;
  std::vector<std::string> leads;
  std::string split = "test";
  std::string device = "cpu";
  bool wide = false;
  bool json = false;
  SimulateArguments value;
  std::string cache = "30%";
};

std::vector<Gain> gains_of(const Arguments& arguments, const stats::Evaluation& evaluation,
                           const RunContext& run) {
  SimulateArguments value = arguments.value;
  value.traces = arguments.options.traces;
  value.split = arguments.split;
  value.budgets = {arguments.cache};
  value.predictors =
      replayable(arguments.options.predictors, trace::TraceDirectory(value.traces).geometry(), run);
  return measure_gains(value, evaluation, run);
}

void run_evaluate(Arguments& arguments, const RunContext& run) {
  predict::EvaluateOptions& options = arguments.options;
  for (const std::string& lead : arguments.leads)
    options.leads.push_back(scoring::parse_lead(lead));
  options.all_texts = arguments.split == "all";
  options.device = tensor::choose_device(arguments.device, run.log);
  options.routers = routers_of_model(arguments.model);
  check_hardware("--value", arguments.value, run);
  const stats::Evaluation evaluation = predict::evaluate(options, run);
  std::vector<Gain> gains;
  if (!arguments.value.hardware.empty()) gains = gains_of(arguments, evaluation, run);
  if (arguments.json) {
    Json json = stats::evaluation_json(evaluation);
    if (!gains.empty()) json["value"] = gain_json(gains);
    print_json(json);
    return;
  }
  if (arguments.wide) {
    print_line(stats::evaluation_table(evaluation));
  } else {
    print_line(stats::evaluation_summary(evaluation));
    run.log.info(
        "gain: in recall, over the best untrained predictor of the lead. --wide shows "
        "every metric, budgets and cost; --json all of it");
  }
  if (gains.empty()) return;
  print_line(fmt::format("\nprefetching on {}, a cache of {} (lrfu-8)", arguments.value.hardware,
                         arguments.cache));
  print_line(gain_table(gains, evaluation.top_k));
}

}  // namespace

void add_evaluate_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  predict::EvaluateOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("evaluate", "Measure how well predictors foresee the experts");
  command->footer(kFooter);
  command->add_option("--traces", options.traces, "Trace directory")->required();
  command
      ->add_option("--predictor", options.predictors,
                   "Predictor directory or name, repeatable (" + predictor_list() +
                       "); default: all that need no training")
      ->allow_extra_args(false);
  command
      ->add_option("--lead", arguments->leads,
                   "next-token, layer-H or pre-attention, repeatable; default: next-token, "
                   "layer-1, layer-2 and pre-attention, as far as the trace has what they need")
      ->allow_extra_args(false);
  command->add_option("--split", arguments->split, "Texts to measure on")
      ->check(CLI::IsMember({"test", "all"}))
      ->capture_default_str();
  command
      ->add_option("--hold-out", options.held_out,
                   "Dataset to measure on, with nothing learned from it, instead of the test split")
      ->excludes("--split");
  command
      ->add_flag("--cross-domain", options.cross_domain,
                 "Also fit the predictors given by name on each dataset alone, and print their "
                 "recall on the test texts of every dataset")
      ->excludes("--split")
      ->excludes("--hold-out");
  command->add_option("--model", arguments->model,
                      "Checkpoint (directory, or OWNER/NAME that was pulled) whose routers to "
                      "check and predict with, instead of those "
                      "recorded with the trace");
  add_number_option(*command, "--budget", options.budgets, {1, trace::kMaxExperts},
                    "Also measure fetching this many experts, repeatable; k and 2k always are");
  add_probability_option(*command, "--threshold", options.threshold,
                         "Also measure fetching every expert at least this probable");
  add_device_option(*command, arguments->device, "That neural predictors run on: ");
  add_seed_option(*command, "--seed", options.seed,
                  "Of the random predictor, the validation texts that mixtures are fitted on, and "
                  "the bootstrap");
  command->add_flag("--wide", arguments->wide,
                    "Print every metric with its interval, the experts to fetch, calibration and "
                    "cost, however wide");
  CLI::Option* value =
      command
          ->add_option(
              "--value", arguments->value.hardware,
              "Also simulate what prefetching by each predictor directory saves, on a card "
              "by name (" +
                  hardware_names() + ") or on the profile of a JSON file")
          ->excludes("--hold-out");
  command
      ->add_option("--cache", arguments->cache,
                   "With --value, the expert cache: experts (500), a share of all (30%) or memory "
                   "(8GB)")
      ->needs(value)
      ->capture_default_str();
  add_size_options(*command, arguments->value);
  command->add_flag("--json", arguments->json, "Print one JSON document")->excludes("--wide");
  command->callback([arguments, &run] { run_evaluate(*arguments, run); });
}

}  // namespace foregate
