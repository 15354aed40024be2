#pragma once

#include <filesystem>
#include <memory>

#include "text/datasets/columns.h"
#include "text/datasets/row_reader.h"

namespace foregate::text {

/// Openers of the file formats. All throw EnvironmentError for a missing file and DataError for a
/// missing column or a file that is not of the format at all.

/// Separated values, with or without a header; `separator` is the one that the file's name
/// promises.
std::unique_ptr<RowReader> open_csv(const std::filesystem::path& path, char separator,
                                    const ColumnRequest& request);
/// JSON documents in the shapes of json_layout.h, SQuAD's layout, or JSON lines, which
/// `lines_expected` of a file so called.
std::unique_ptr<RowReader> open_json(const std::filesystem::path& path, bool lines_expected,
                                     const ColumnRequest& request);
std::unique_ptr<RowReader> open_parquet(const std::filesystem::path& path,
                                        const ColumnRequest& request);
/// Arrow's IPC format, file or stream (what the datasets library caches).
std::unique_ptr<RowReader> open_arrow(const std::filesystem::path& path,
                                      const ColumnRequest& request);
/// One text a line.
std::unique_ptr<RowReader> open_lines(const std::filesystem::path& path);

}  // namespace foregate::text
