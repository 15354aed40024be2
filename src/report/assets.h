#pragma once

namespace foregate::report {

// The files of assets/, embedded by CMake.
extern const char* const kChartCss;  ///< What charts need, on the page and in SVG files
extern const char* const kPageCss;
extern const char* const kPageScript;

}  // namespace foregate::report
