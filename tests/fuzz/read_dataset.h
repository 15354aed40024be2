#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "text/dataset.h"
#include "text/utf8.h"

namespace foregate {

/// Reads all of a dataset. An error of ours is an answer; a text that is no usable text is a
/// finding.
inline void read_dataset(const std::filesystem::path& path) {
  try {
    const auto source = open_dataset({"x", path, ""});
    for (Sample sample; source->next(sample);) {
      if (!is_valid_utf8(sample.text) || is_blank(sample.text)) std::abort();
    }
  } catch (const Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
}

}  // namespace foregate
