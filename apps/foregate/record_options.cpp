#include "record_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/number_text.h"

namespace foregate {
namespace {

void parse_state(const std::string& state, const std::string& option, RecordedStates& states) {
  if (state == "logits") {
    states.logits = true;
    return;
  }
  if (state == "features") {
    states.feature_fraction = 1;
    return;
  }
  const std::string prefix = "features:";
  if (state.starts_with(prefix)) {
    states.feature_fraction = parse_decimal(state.substr(prefix.size())).value_or(0);
    if (states.feature_fraction > 0 && states.feature_fraction <= 1) return;
  }
  throw UsageError(
      fmt::format("{} '{}' is not known; expected logits, features, or features:F with F in (0, 1]",
                  option, state));
}

}  // namespace

CLI::Option* add_states_option(CLI::App& command, const std::string& name,
                               std::vector<std::string>& states) {
  return command
      .add_option(name, states,
                  "Also record: logits (router logits), features[:F] (hidden states of a share F "
                  "of the texts)")
      ->delimiter(',')
      ->allow_extra_args(false);
}

RecordedStates parse_states(const std::vector<std::string>& states, const std::string& option) {
  RecordedStates parsed;
  for (const std::string& state : states) parse_state(state, option, parsed);
  return parsed;
}

}  // namespace foregate
