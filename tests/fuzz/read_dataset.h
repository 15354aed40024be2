#pragma once

#include <cstdlib>
#include <filesystem>

#include "fuzz/errors.h"
#include "text/dataset.h"
#include "text/utf8.h"

namespace foregate {

/// Reads all of a dataset. A text that is no usable text is a finding.
inline void read_dataset(const std::filesystem::path& path) {
  answer_or_error([&] {
    const auto source = open_dataset({"x", path, ""});
    for (Sample sample; source->next(sample);) {
      if (!is_valid_utf8(sample.text) || is_blank(sample.text)) std::abort();
    }
  });
}

}  // namespace foregate
