# The C library for firmware: libefiqa.so, its header, and what finds them.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(EFIQA_EMBEDDED_MODEL "${PROJECT_SOURCE_DIR}/efiqa/models/efiqa.onnx" CACHE FILEPATH
  "ONNX model with its contract beside it, to be linked into libefiqa; empty: none")
file(STRINGS csrc/include/efiqa/efiqa.h abi_line REGEX "^#define EFIQA_ABI_VERSION " LIMIT_COUNT 1)
string(REGEX REPLACE "^.* ([0-9]+)$" "\\1" efiqa_abi_version "${abi_line}")

# Objects, so that the tests link the same code with the core's insides.
add_library(efiqa_capi OBJECT csrc/capi.cpp csrc/capi_frame.cpp csrc/capi_gate.cpp)
target_include_directories(efiqa_capi PUBLIC csrc/include)
target_link_libraries(efiqa_capi PUBLIC efiqa_core PRIVATE efiqa_flags)
if(EFIQA_EMBEDDED_MODEL)
  get_filename_component(embedded_name "${EFIQA_EMBEDDED_MODEL}" NAME)
  set(embedded_source "${PROJECT_BINARY_DIR}/embedded_model.cpp")
  configure_file(csrc/embedded_model.cpp.in "${embedded_source}" @ONLY)
  set_source_files_properties("${embedded_source}" PROPERTIES
    OBJECT_DEPENDS "${EFIQA_EMBEDDED_MODEL};${EFIQA_EMBEDDED_MODEL}.json")
  target_sources(efiqa_capi PRIVATE "${embedded_source}")
else()
  target_sources(efiqa_capi PRIVATE csrc/embedded_model_none.cpp)
endif()

add_library(efiqa_shared SHARED)
add_library(efiqa::efiqa ALIAS efiqa_shared)
target_include_directories(efiqa_shared INTERFACE csrc/include)
target_link_libraries(efiqa_shared PRIVATE efiqa_capi efiqa_core efiqa_flags)
# What is not efiqa_* stays inside: by visibility, and by the version script for the templates of
# the standard library and the code of static libraries.
set(version_script "${PROJECT_SOURCE_DIR}/csrc/efiqa.map")
target_link_options(efiqa_shared PRIVATE "LINKER:--version-script=${version_script}")
if(NOT EFIQA_SANITIZE)  # a sanitizer's functions come from the program
  target_link_options(efiqa_shared PRIVATE LINKER:--no-undefined)
endif()
set_target_properties(efiqa_shared PROPERTIES
  OUTPUT_NAME efiqa
  VERSION ${efiqa_abi_version}.${efiqa_version}
  SOVERSION ${efiqa_abi_version}
  LINK_DEPENDS "${version_script}"
  INSTALL_RPATH "$ORIGIN/efiqa")  # the component `openvino` below; else where the system looks

install(TARGETS efiqa_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES csrc/include/efiqa/efiqa.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/efiqa)

file(RELATIVE_PATH efiqa_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" efiqa_pc_prefix "${efiqa_pc_prefix}")
configure_file(cmake/efiqa.pc.in efiqa.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/efiqa.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/efiqa)
configure_package_config_file(cmake/efiqaConfig.cmake.in efiqaConfig.cmake
  INSTALL_DESTINATION ${package_folder}
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(efiqaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/efiqaConfig.cmake" "${PROJECT_BINARY_DIR}/efiqaConfigVersion.cmake"
  DESTINATION ${package_folder})

# cmake --install BUILD --component openvino: the libraries of OpenVINO that efiqa uses, beside it.
if(EFIQA_WITH_OPENVINO)
  get_target_property(openvino_library openvino::runtime IMPORTED_LOCATION_RELEASE)
  get_filename_component(openvino_folder "${openvino_library}" DIRECTORY)
  install(DIRECTORY "${openvino_folder}/" DESTINATION ${CMAKE_INSTALL_LIBDIR}/efiqa
    COMPONENT openvino EXCLUDE_FROM_ALL USE_SOURCE_PERMISSIONS FILES_MATCHING
    PATTERN "libopenvino.so.*"
    PATTERN "libopenvino_intel_cpu_plugin.so"
    PATTERN "libopenvino_onnx_frontend.so.*"
    PATTERN "libtbb.so.*")
endif()
