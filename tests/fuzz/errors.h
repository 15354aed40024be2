#pragma once

#include <cstdlib>
#include <string>

#include "base/error.h"

namespace foregate {

/// Runs `read`. An error of ours, on one line, is an answer; everything else is a finding.
template <typename Read>
void answer_or_error(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
}

}  // namespace foregate
