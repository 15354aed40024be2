#pragma once

#include <cstdlib>
#include <filesystem>

#include "fuzz/errors.h"
#include "text/datasets/dataset.h"
#include "text/unicode/utf8.h"

namespace foregate {

/// Reads all of a dataset. A text that is no usable text is a finding.
inline void read_dataset(const std::filesystem::path& path) {
  answer_or_error([&] {
    const auto source = text::open_dataset({"x", path, ""});
    for (text::Sample sample; source->next(sample);) {
      if (!text::is_valid_utf8(sample.text) || text::is_blank(sample.text)) std::abort();
    }
  });
}

}  // namespace foregate
