#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "commands.h"
#include "output.h"
#include "predict_options.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate evaluate --traces traces\n"
    "  foregate evaluate --traces traces --predictor adapter --predictor frequency --json\n"
    "  foregate evaluate --traces traces --predictor adapter --budget 12 --threshold 0.1\n"
    "  foregate evaluate --traces traces --predictor transition --lead layer-1 --lead layer-2\n"
    "Predictors given by name are fitted on the training split first; trained ones are given as "
    "the directory that\n"
    "`foregate train` wrote. The own-router control is computed whenever the trace has hidden "
    "states.";

struct Arguments {
  std::filesystem::path traces;
  std::string model;
  std::vector<std::string> predictors;
  std::vector<std::string> leads;
  std::string split = "test";
  std::string held_out;
  std::vector<int> budgets;
  std::optional<double> threshold;
  uint64_t seed = 0;
  bool json = false;
};

void run_evaluate(const Arguments& arguments) {
  const Evaluation evaluation = run_evaluation(
      arguments.traces, arguments.predictors, arguments.leads, arguments.split, arguments.model,
      arguments.seed, arguments.budgets, arguments.threshold, arguments.held_out);
  if (arguments.json) {
    print_json(evaluation.to_json());
  } else {
    print_line(evaluation.to_table());
  }
}

}  // namespace

void add_evaluate_command(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("evaluate", "Measure how well predictors foresee the experts");
  command->footer(kFooter);
  command->add_option("--traces", arguments->traces, "Trace directory")->required();
  command
      ->add_option("--predictor", arguments->predictors,
                   "Predictor directory or name, repeatable (" + predictor_list() +
                       "); default: all that need no training")
      ->allow_extra_args(false);
  command
      ->add_option("--lead", arguments->leads,
                   "next-token, layer-H or pre-attention, repeatable; default: all that make sense")
      ->allow_extra_args(false);
  command->add_option("--split", arguments->split, "Texts to measure on")
      ->check(CLI::IsMember({"test", "all"}))
      ->capture_default_str();
  command
      ->add_option("--hold-out", arguments->held_out,
                   "Dataset to measure on, with nothing learned from it, instead of the test split")
      ->excludes("--split");
  command->add_option("--model", arguments->model,
                      "Checkpoint (directory, or OWNER/NAME that was pulled) whose routers to "
                      "check and predict with, instead of those "
                      "recorded with the trace");
  command
      ->add_option("--budget", arguments->budgets,
                   "Also measure fetching this many experts, repeatable; k and 2k always are")
      ->allow_extra_args(false);
  command
      ->add_option("--threshold", arguments->threshold,
                   "Also measure fetching every expert at least this probable")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", arguments->seed, "Of the random predictor and the bootstrap")
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print one JSON document");
  command->callback([arguments] { run_evaluate(*arguments); });
}

}  // namespace foregate
