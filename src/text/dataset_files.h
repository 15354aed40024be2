#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "text/columns.h"
#include "text/row_reader.h"

namespace foregate {

/// The file itself, or the files of known formats in a directory and below, sorted by path. Hidden
/// files, the hub's metadata, and text files beside tables (notes, licences) are left out. Throws
/// EnvironmentError if `path` is missing, DataError if the directory holds no such file.
std::vector<std::filesystem::path> dataset_files(const std::filesystem::path& path);

/// Opens one file by its extension or, failing that, by its first bytes. Throws what the format's
/// reader throws, and DataError if the format is not known.
std::unique_ptr<RowReader> open_file(const std::filesystem::path& path,
                                     const ColumnRequest& request);

}  // namespace foregate
